"""What can be deployed: models of the registry, ways to serve them, hardware and its prices."""

from __future__ import annotations

from collections.abc import Iterator

from reasoning_cli.together.calls import Calls, read
from reasoning_cli.together.wire import Config, FineTune, InstanceType, Model, Revision, SupportedModel


class Registry(Calls):
    """The calls about models and hardware."""

    def models(self) -> Iterator[Model]:
        """Every model of the registry."""
        return self._list(Model, f"{self._root}/models")

    def model(self, model_id: str) -> Model:
        return read(Model, self._connection.request("GET", f"{self._root}/models/{model_id}"))

    def configs(self, model: Model) -> list[Config]:
        """The ways `model` can be served; none means it cannot."""
        return list(self._list(Config, f"{self._root}/configs", {"referenceModel": model.resource}))

    def instance_types(self) -> list[InstanceType]:
        """Hardware with today's prices."""
        return list(self._list(InstanceType, "/v2/public/inference-instance-types"))

    def revisions(self, model: Model) -> list[Revision]:
        """The sets of weights of a model, as the service lists them; none before the first upload."""
        return list(self._list(Revision, f"/v2/{model.resource}/revisions"))

    def supported_models(self, search: str = "") -> Iterator[SupportedModel]:
        """The platform's catalogue, or what of it has `search` in its name."""
        return self._list(SupportedModel, "/v2/supported-models", {"search": search} if search else None)

    def fine_tune(self, job_id: str) -> FineTune:
        return read(FineTune, self._connection.request("GET", f"/v1/fine-tunes/{job_id}"))
