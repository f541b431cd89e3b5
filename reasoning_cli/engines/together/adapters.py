"""The calls about LoRA adapters that are attached to a deployment of their base model."""

from __future__ import annotations

from reasoning_cli.engines.errors import ConflictError, MissingError, UnreachableError
from reasoning_cli.engines.together.calls import Calls, read
from reasoning_cli.engines.together.wire import Adapter


class Adapters(Calls):
    """What is attached to a deployment. Attachments have ids of their own (`dad_…`)."""

    def adapters(self, endpoint_id: str, deployment_id: str) -> list[Adapter]:
        return list(self._list(Adapter, self._adapters(endpoint_id, deployment_id)))

    def adapter(self, endpoint_id: str, deployment_id: str, adapter_id: str) -> Adapter:
        path = f"{self._adapters(endpoint_id, deployment_id)}/{adapter_id}"
        return read(Adapter, self._connection.request("GET", path))

    def find_adapter(self, endpoint_id: str, deployment_id: str, model_id: str) -> Adapter | None:
        """The attachment of that model, if there is one."""
        found = self.adapters(endpoint_id, deployment_id)
        return next((adapter for adapter in found if adapter.adapter_model_id == model_id), None)

    def attach(self, endpoint_id: str, deployment_id: str, model_id: str) -> Adapter:
        """Attach an adapter's latest weights. After a lost answer, or when it is attached already, looks for it."""
        path = self._adapters(endpoint_id, deployment_id)
        body: dict[str, object] = {"adapterModelId": model_id}
        return self._create(Adapter, path, body, lambda: self.find_adapter(endpoint_id, deployment_id, model_id))

    def detach(self, endpoint_id: str, deployment_id: str, adapter_id: str) -> None:
        """Take an adapter off; one that is gone already is fine. What changes meanwhile is looked at once more."""
        path = f"{self._adapters(endpoint_id, deployment_id)}/{adapter_id}"
        for is_last in (False, True):
            try:
                etag = self.adapter(endpoint_id, deployment_id, adapter_id).etag
                self._connection.request("DELETE", path, query={"etag": etag})
                return
            except MissingError:
                return
            except (ConflictError, UnreachableError) as problem:
                if is_last or (isinstance(problem, UnreachableError) and not problem.maybe_done):
                    raise

    def _adapters(self, endpoint_id: str, deployment_id: str) -> str:
        return f"{self._root}/endpoints/{endpoint_id}/deployments/{deployment_id}/adapters"
