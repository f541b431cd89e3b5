"""What can be deployed: models of the registry, ways to serve them, hardware and its prices."""

from __future__ import annotations

from collections.abc import Iterator

from reasoning_cli.engines import serving
from reasoning_cli.engines.together.adapters import Adapters
from reasoning_cli.engines.together.calls import read
from reasoning_cli.engines.together.connection import Json
from reasoning_cli.engines.together.wire import Config, InstanceType, Model, RemoteUpload, Revision, SupportedModel


class Registry(Adapters):
    """The calls about models, what is attached to them, and hardware."""

    def models(self) -> Iterator[Model]:
        """Every model of the registry."""
        return self._list(Model, f"{self._root}/models")

    def model(self, model_id: str, project_id: str | None = None) -> Model:
        """The model with that id, of this project unless another one is named."""
        root = f"/v2/projects/{project_id}" if project_id else self._root
        return read(Model, self._connection.request("GET", f"{root}/models/{model_id}"))

    def configs(self, model: serving.Model) -> list[Config]:
        """The ways `model` can be served; none means it cannot."""
        return list(self._list(Config, f"{self._root}/configs", {"referenceModel": model.resource}))

    def instance_types(self) -> list[InstanceType]:
        """Hardware with today's prices."""
        return list(self._list(InstanceType, "/v2/public/inference-instance-types"))

    def revisions(self, model: serving.Model) -> list[Revision]:
        """The sets of weights of a model, as the service lists them; none before the first upload."""
        return list(self._list(Revision, f"/v2/{model.resource}/revisions"))

    def supported_models(self, search: str = "") -> Iterator[SupportedModel]:
        """The platform's catalogue, or what of it has `search` in its name."""
        return self._list(SupportedModel, "/v2/supported-models", {"search": search} if search else None)

    # --- uploads ---

    def create_model(self, name: str, base_model_id: str, kind: str) -> Model:
        """Make a record without weights; `kind` is `model` or `adapter`. After a lost answer, looks by name."""
        body: Json = {"name": name, "baseModelId": base_model_id, "type": kind}
        return self._create(Model, f"{self._root}/models", body, lambda: self.find_model_record(name))

    def find_model_record(self, name: str) -> Model | None:
        """The model of that bare name in this project, if there is one."""
        return next((model for model in self.models() if model.name == f"{self.project.slug}/{name}"), None)

    def uploads(self, model_id: str) -> list[RemoteUpload]:
        """The remote uploads of a model, oldest first."""
        found = self._list(RemoteUpload, f"{self._root}/models/uploads")
        return sorted((upload for upload in found if upload.model_id == model_id), key=lambda upload: upload.created_at)

    def upload(self, upload_id: str) -> RemoteUpload:
        return read(RemoteUpload, self._connection.request("GET", f"{self._root}/models/uploads/{upload_id}"))

    def create_upload(self, model_id: str, url: str, token: str | None) -> RemoteUpload:
        """Let the service fetch the weights at `url`. After a lost answer, looks for the one that was begun."""
        body: Json = {"modelId": model_id, "remoteUrl": url, **({"token": token} if token else {})}
        known = {upload.id for upload in self.uploads(model_id)}

        def begun() -> RemoteUpload | None:
            return next((upload for upload in self.uploads(model_id) if upload.id not in known), None)

        return self._create(RemoteUpload, f"{self._root}/models/uploads", body, begun)
