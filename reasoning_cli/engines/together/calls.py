"""What every call to Together stands on: one account, its project, the service's clock, and how answers are read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from reasoning_cli.engines.contract import Answer
from reasoning_cli.engines.errors import BusyError, ConflictError, MissingError, UnreachableError
from reasoning_cli.engines.together.connection import Connection, Json
from reasoning_cli.engines.together.storage import Storage
from reasoning_cli.engines.together.wire import Project, Whoami
from reasoning_cli.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

W = TypeVar("W", bound=BaseModel)

_REFUSALS = tuple(status for status in range(400, 500) if status != 429)


class Calls:
    """One account and project. The calls themselves are its subclasses'."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        project_id: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = Connection(base_url, api_key, transport=transport, sleep=sleep)
        self._project_id = project_id

    def close(self) -> None:
        self._connection.close()

    # --- who and when ---

    def whoami(self) -> Whoami:
        return read(Whoami, self._connection.request("GET", "/v3/whoami"))

    @cached_property
    def project(self) -> Project:
        """The project every v2 path is in: the one set, else the key's own."""
        known = self.whoami().project
        if self._project_id is not None and (known is None or known.id != self._project_id):
            return Project(id=self._project_id)
        if known is None:
            raise ConfigurationError(
                "this key belongs to an organisation, not to a project",
                "`reasoning config set together.project_id proj_…`",
            )
        return known

    def now(self) -> datetime:
        """The service's time as of its last answer, in whole seconds: the ledger's clock, whatever ours says."""
        if self._connection.served_at is None:
            self.whoami()
        return self._connection.served_at or datetime.now(UTC)

    def storage(self, connections: int) -> Storage:
        """The host that takes files and parts of weights."""
        return Storage(connections=connections, trust_env=self._connection.trust_env)

    @property
    def _root(self) -> str:
        return f"/v2/projects/{self.project.id}"

    # --- as it is ---

    def look(
        self,
        path: str,
        query: Mapping[str, str | int | Sequence[str]] | None = None,
        *,
        method: str = "GET",
        body: Json | None = None,
    ) -> Answer:
        """An answer as it is, a refusal too, for those who hold it against what is documented. Raises RemoteError."""
        response = self._connection.respond(method, path, query=query, body=body, welcome=_REFUSALS)
        try:
            return Answer(response.status_code, response.json() if response.content else None)
        except ValueError:
            return Answer(response.status_code, None)

    # --- how ---

    def _list(self, shape: type[W], path: str, query: dict[str, str | int] | None = None) -> Iterator[W]:
        return (read(shape, item) for item in self._connection.pages(path, query))

    def _create(self, shape: type[W], path: str, body: Json, find: Callable[[], W | None]) -> W:
        """POST once. No idempotency key exists: after a lost answer or a conflict, the name is looked up."""
        try:
            return read(shape, self._connection.request("POST", path, body=body))
        except (UnreachableError, BusyError, ConflictError) as problem:
            if isinstance(problem, UnreachableError) and not problem.maybe_done:
                raise
            found = find()
            if found is None:
                raise
            return found

    def _delete(self, path: str) -> None:
        try:
            self._connection.request("DELETE", path)
        except MissingError:
            return
        except UnreachableError as problem:
            if not problem.maybe_done:
                raise
            self._delete_again(path)

    def _delete_again(self, path: str) -> None:
        """After a lost answer: deleting twice is harmless."""
        try:
            self._connection.request("DELETE", path)
        except MissingError:
            return


def read(shape: type[W], answer: Json) -> W:
    """The answer as a shape of `wire`. Raises BusyError when it is none."""
    try:
        return shape.model_validate(answer)
    except ValidationError as error:
        missing = ", ".join(".".join(str(part) for part in error["loc"]) for error in error.errors())
        raise BusyError(
            f"Together's {shape.__name__.lower()} has another shape than documented: {missing}",
            "a newer `reasoning` may know it",
        ) from error
