"""A model's way into a slot that the operator's own server answers, or another one: by the settings alone.

The slot's own model goes in by the slot's mode and share. Another model comes in beside it where that answers already:
the gateway reads from the promotion on record whom of the two it asks, and the settings name the new one when its last
step has held. Whoever is killed meanwhile leaves the former model where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from reasoning_cli import settings as s
from reasoning_cli.engines import registry
from reasoning_cli.errors import ConfigurationError, NotFoundError, ReasoningError, UsageError
from reasoning_cli.operations.deploy.own_server import OwnServer, engine_name, is_same_server, own_server, server_at
from reasoning_cli.operations.deploy.smoke_test import Trial, built_in_question, try_model
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.promote.evidence import of_undeployed
from reasoning_cli.operations.promote.gate import judge, rules_of_watch
from reasoning_cli.operations.promote.guardrails import promise
from reasoning_cli.operations.promote.plan import PromoteRequest
from reasoning_cli.operations.promote.stepping import LocalContext, LocalPlan, Moves, texts_before, write_texts
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import ADOPTED, COMMAND, Mode, spell_model_type


@dataclass(frozen=True, kw_only=True)
class ServerPlan(LocalPlan):
    """A promotion to a model that `server` serves. `old` is the model that answers now and is replaced at the end, None
    where the original answers."""

    server: OwnServer
    old: str | None

    @property
    def form(self) -> str:
        return str(self.details["prompt_form"])


def goes_to_own_server(settings: Settings, model_type: str, going: Promotion | None, url: str | None) -> bool:
    """Whether a promotion is to a model at the operator's own server: the one under way, else by what was typed and
    set."""
    if going is not None:
        return going.server is not None
    return url is not None or own_server(settings, model_type) is not None


def plan_server(
    store: Store, settings: Settings, request: PromoteRequest, gate: Gate, now: datetime, *, url: str | None = None
) -> ServerPlan:
    """What it takes to bring the model in; `url` is another server than the slot's. Whether the criteria hold is for
    the caller to judge. Nobody is asked.

    Raises NotFoundError, UsageError or ReasoningError where it cannot be done.
    """
    model_type, get = request.model_type, settings.get
    own = own_server(settings, model_type)
    model, run = _candidate(store, request, own, url)
    server = _server(store, settings, model_type, own, url)
    server = replace(server, model=model)
    answers = own is not None and get(s.ENABLED[model_type]) and get(s.MODE[model_type]) is not Mode.SHADOW
    is_own = own is not None and (own.model, own.url) == (model, server.url)
    if is_own and answers and get(s.MODE[model_type]) is Mode.LIVE:
        raise _answers_already(store, model_type, model)
    old = own.model if own is not None and answers and not is_own else None
    if old == model:
        raise ReasoningError(
            f"both servers call their model `{model}`: nobody could tell in live traffic which of them answered",
            "let the new server call it by another name (`--served-model-name`, `--alias`)",
        )
    _refuse_hidden(settings, model_type)
    evidence = of_undeployed(store, model_type, model, server.place, old, gate, now)
    criteria = judge(gate, evidence, model_type, model, get(s.DEADLINE_MS[model_type]), now)
    if url is not None:
        asked = f"--model {model}"
        criteria = [replace(rule, help=rule.help.replace(asked, f"{asked} --server {url}")) for rule in criteria]
    form = str(run.plan.get("prompt_form") or "") if run is not None else ""
    details = {
        "server": server.url,
        "url": server.url if own is None or own.url != server.url else None,
        "prompt_form": form or str(get(s.PROMPT_FORM[model_type])),
        "old_answers": old is not None,
        "old_model": old,
    }
    before = {setting.name: settings.find(setting)[0] for setting in _written(model_type)}
    return ServerPlan(
        request=request,
        model=model,
        run=run,
        gate=rules_of_watch(gate, evidence),
        criteria=criteria,
        evaluation=evidence.evaluation,
        before=before,
        details=details,
        server=server,
        old=old,
    )


def _answers_already(store: Store, model_type: str, model: str) -> ReasoningError:
    name = spell_model_type(model_type)
    came = any(known.model == model for known in Promotions(store).all(model_type))
    shadow = f"to let it prove itself first: `reasoning models enable {name} --mode shadow`, then this again"
    history = f"`reasoning train history {name}` shows since when"
    return ReasoningError(f"`{model}` answers {name} already", history if came else shadow)


def try_candidate(store: Store, plan: ServerPlan) -> Trial:
    """Ask the model one decision where it is served. Raises ReasoningError where another model answers in its place,
    and what is in `engines.errors`."""
    model_type, server = plan.request.model_type, plan.server
    trial = try_model(server.connect, store, server, model_type, built_in_question(model_type, plan.form))
    if trial.is_another_model:
        raise ReasoningError(
            f"asked for `{plan.model}`, the server answers as `{trial.answered_as}`",
            "load the model that is meant, or name what it serves with `--to`",
        )
    return trial


def _candidate(
    store: Store, request: PromoteRequest, own: OwnServer | None, url: str | None
) -> tuple[str, TrainingRun | None]:
    """(the model that is meant, the training run it came from)."""
    runs, name = TrainingRuns(store), spell_model_type(request.model_type)
    if request.to is None:
        made = [run for run in runs.all(request.model_type) if run.engine in (COMMAND, ADOPTED) and run.stage == "done"]
        if made and made[-1].model_name and (own is None or made[-1].model_name != own.model):
            return made[-1].model_name, made[-1]
        if own is None or url is not None:
            raise UsageError("which model of that server?", f"`reasoning train promote {name} --to MODEL --server URL`")
        return own.model, runs.of_model(own.model)
    run = runs.get(int(request.to)) if request.to.isdecimal() else runs.of_model(request.to)
    if request.to.isdecimal() and run is None:
        raise NotFoundError(f"there is no training run {request.to}", "`reasoning train list`")
    if run is None:
        return request.to, None
    if run.model_type != request.model_type:
        other = spell_model_type(run.model_type)
        raise UsageError(
            f"training run {run.number} is of {other}", f"`reasoning train promote {other} --to {run.number}`"
        )
    if run.model_name is None:
        raise ReasoningError(
            f"training run {run.number} has no model: it is {run.stage}", f"`reasoning train show {run.number}`"
        )
    return run.model_name, run


def _server(store: Store, settings: Settings, model_type: str, own: OwnServer | None, url: str | None) -> OwnServer:
    """What serves the candidate. Raises ReasoningError where the slot cannot be led there."""
    name = spell_model_type(model_type)
    if url is None or (own is not None and url.rstrip("/") == own.url):
        assert own is not None
        return own
    if own is None and _leads_to_together(settings, model_type):
        setting = s.ENGINE[model_type] if settings.get(s.ENGINE[model_type]) else s.LINE
        raise ReasoningError(
            f"{setting.name} leads {name} to Together",
            f"`reasoning config unset {setting.name}` lets an address decide",
        )
    if own is None and (key := Deployments(store).serving(model_type)) is not None:
        record = Deployments(store).get(key)
        if record is not None and record.deleted_at is None:
            raise ReasoningError(
                f"{name} is answered by `{record.model_name}` at Together, which would cost on",
                f"`reasoning models undeploy {name}` first: the original answers meanwhile",
            )
    if settings.get(s.PROVIDER_KEY[model_type]) and (own is None or not is_same_server(own.url, url)):
        raise ReasoningError(
            f"{s.PROVIDER_KEY[model_type].name} is the key of another server, and would go to `{url}`",
            f"`reasoning config unset {s.PROVIDER_KEY[model_type].name}` where that one wants no key; else set its"
            f" address and key, and begin as a shadow: `reasoning models enable {name} --mode shadow`",
        )
    return server_at(settings, model_type, url)


def _leads_to_together(settings: Settings, model_type: str) -> bool:
    """Whether the slot is Together's whatever its address is."""
    said = settings.get(s.ENGINE[model_type]) or (settings.get(s.LINE) if s.LINE.name.startswith(model_type) else None)
    return bool(said) and engine_name(settings, model_type) == registry.TOGETHER


def _written(model_type: str) -> tuple[s.Setting[object], ...]:
    of_type = (s.ENABLED, s.MODE, s.SHARE, s.PROMPT_FORM, s.MODEL, s.PROVIDER_URL)
    return tuple(setting[model_type] for setting in of_type)


def _refuse_hidden(settings: Settings, model_type: str) -> None:
    """ConfigurationError where a variable hides what would be written: the gateway would not follow."""
    for setting in _written(model_type):
        if (variable := s.overrides(settings, setting)) is not None:
            raise ConfigurationError(
                f"{setting.name} is said by {variable}, which a promotion cannot change",
                f"unset it, and `reasoning config set {setting.name} …`",
            )


class ServerMoves:
    """A model of the operator's own server into its slot, and out of it."""

    place = "the slot"

    def apply(self, context: LocalContext, promotion: Promotion, mode: Mode, share: int | None) -> None:
        """Where another model answers, the promotion on record is all that the gateway needs."""
        if not _old_answers(promotion):
            model_type = promotion.model_type
            texts: dict[s.Setting[object], str | None] = {
                s.ENABLED[model_type]: "true",
                s.MODE[model_type]: str(mode),
                **self._model(promotion),
            }
            if share is not None:
                texts[s.SHARE[model_type]] = str(share)
            write_texts(context, texts)

    def changed(self, context: LocalContext, promotion: Promotion, mode: Mode, share: int | None) -> str | None:
        settings, model_type = context.settings(), promotion.model_type
        get, own = settings.get, own_server(settings, model_type)
        if own is None:
            return "it is Together's"
        if not get(s.ENABLED[model_type]):
            return "it is disabled"
        wanted = promotion.plan["old_model"] if _old_answers(promotion) else promotion.model
        if own.model != wanted:
            return f"its model is `{own.model}`, and not `{wanted}`"
        if _old_answers(promotion):
            is_shadow = get(s.MODE[model_type]) is Mode.SHADOW
            return f"its mode is {Mode.SHADOW}, and `{own.model}` answers nobody" if is_shadow else None
        if own.url != promotion.server:
            return f"its server is `{own.place}`"
        if get(s.MODE[model_type]) is not mode:
            return f"its mode is {get(s.MODE[model_type])}, and not {mode}"
        if share is not None and get(s.SHARE[model_type]) != share:
            return f"its share is {get(s.SHARE[model_type])} %, and not {share} %"
        return None

    def taken_out(self, context: LocalContext, promotion: Promotion) -> str | None:
        """What was seen of it is all there is."""

    def settle(self, context: LocalContext, promotion: Promotion) -> None:
        """The slot's settings name it; where it took over from another, with that one's mode."""
        write_texts(context, self._model(promotion))

    def restore(self, context: LocalContext, promotion: Promotion) -> None:
        """The settings as they were."""
        s.write_settings(context.settings().paths, texts_before(promotion))

    def done(self, promotion: Promotion) -> str:
        return f"{promotion.model} answers {spell_model_type(promotion.model_type)}"

    def _model(self, promotion: Promotion) -> dict[s.Setting[object], str | None]:
        """Which model, where, and in which form it is asked."""
        model_type, url = promotion.model_type, promotion.plan.get("url")
        texts: dict[s.Setting[object], str | None] = {
            s.MODEL[model_type]: promotion.model,
            s.PROMPT_FORM[model_type]: str(promotion.plan["prompt_form"]),
        }
        return texts | ({s.PROVIDER_URL[model_type]: str(url)} if url else {})


SERVER_MOVES: Moves = ServerMoves()


def _old_answers(promotion: Promotion) -> bool:
    return bool(promotion.plan.get("old_answers"))


def refuse_back(latest: Promotion) -> None:
    """NotFoundError where the last promotion cannot be taken back."""
    name = spell_model_type(latest.model_type)
    if latest.rolled_back_at is not None or (latest.finished_at is not None and latest.stage != "promoted"):
        raise NotFoundError(
            f"the last promotion to {name} is {'taken back' if latest.rolled_back_at else latest.stage}",
            f"`reasoning train history {name}` shows what was",
        )


def back_to(promotion: Promotion) -> str:
    """Who answers when a promotion is taken back."""
    return str(promotion.plan.get("old_model") or "the original")


def plan_record(plan: ServerPlan) -> dict[str, object]:
    """A plan for machines, in the form of one at Together."""
    found = promise(plan.gate, len(plan.request.steps), plan.request.hold)
    return {
        "model_type": plan.request.model_type,
        "model": plan.model,
        "run": plan.run.number if plan.run is not None else None,
        "answers_now": plan.old or "original",
        "steps": list(plan.request.steps),
        "hold_decisions": plan.request.hold,
        "interval_seconds": int(plan.request.interval.total_seconds()),
        "deploys": False,
        "added_cents_per_hour": 0,
        "prompt_form": plan.form,
        "evaluation": plan.evaluation,
        "gate": [
            {"rule": rule.key, "wanted": rule.wanted, "found": rule.found, "passed": rule.passed, "help": rule.help}
            for rule in plan.criteria
        ],
        "passes": all(criterion.passed is not False for criterion in plan.criteria),
        "back_after_broken": found.broken,
        "back_within_half_broken": found.half_broken,
        "back_within_contrary": found.contrary,
        "server": plan.server.place,
    }
