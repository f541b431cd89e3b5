"""What is left of v1: endpoints from before July 2026, which can be listed, stopped and deleted, and nothing else."""

from __future__ import annotations

from reasoning_cli.engines.errors import MissingError, RequestRefusedError
from reasoning_cli.engines.together.calls import Calls, read
from reasoning_cli.engines.together.wire import LegacyEndpoint, LegacyHardware


class Legacy(Calls):
    """The calls about endpoints of v1."""

    def legacy_endpoints(self) -> list[LegacyEndpoint]:
        """Every dedicated endpoint of v1; none where the service no longer knows v1."""
        try:
            answer = self._connection.request("GET", "/v1/endpoints", query={"type": "dedicated"})
        except (MissingError, RequestRefusedError):
            return []
        data = answer.get("data")
        return [read(LegacyEndpoint, item) for item in (data if isinstance(data, list) else [])]

    def legacy_endpoint(self, endpoint_id: str) -> LegacyEndpoint:
        return read(LegacyEndpoint, self._connection.request("GET", f"/v1/endpoints/{endpoint_id}"))

    def legacy_prices(self) -> dict[str, int]:
        """Cents an hour by the name v1 has for hardware; the wire has them by the minute, with fractions."""
        try:
            answer = self._connection.request("GET", "/v1/hardware")
        except (MissingError, RequestRefusedError):
            return {}
        data = answer.get("data")
        kinds = [read(LegacyHardware, item) for item in (data if isinstance(data, list) else [])]
        return {kind.id: round(kind.pricing.cents_per_minute * 60) for kind in kinds}

    def stop_legacy(self, endpoint_id: str) -> LegacyEndpoint:
        """Tell it to stop; there is no way to start it again."""
        answer = self._connection.request("PATCH", f"/v1/endpoints/{endpoint_id}", body={"state": "STOPPED"})
        return read(LegacyEndpoint, answer)

    def delete_legacy(self, endpoint_id: str) -> None:
        """Delete it, running or not; one that is gone already is fine."""
        self._delete(f"/v1/endpoints/{endpoint_id}")
