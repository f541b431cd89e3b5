"""What the stand-in answers when it says no."""

from __future__ import annotations

from http import HTTPStatus

_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.CONFLICT: "conflict_error",
    HTTPStatus.TOO_MANY_REQUESTS: "quota_error",
    HTTPStatus.INTERNAL_SERVER_ERROR: "server_error",
}


class ApiError(Exception):
    """One refusal: HTTP status, message and, where the vendor has one, the machine-readable `code`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}


def error_body(error: ApiError, request_id: str) -> dict[str, object]:
    """The vendor's error object."""
    return {
        "id": request_id,
        "error": {
            "message": error.message,
            "type": _TYPES.get(HTTPStatus(error.status), "invalid_request_error"),
            "param": error.param,
            "code": error.code,
        },
    }


def not_found(kind: str, name: str) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, f"{kind} {name!r} not found", code="not_found")


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, message, param=param, code=code)
