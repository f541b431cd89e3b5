"""Whether an engine keeps to what it declares."""

from __future__ import annotations

import contextlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

from reasoning_cli.engines import clients, errors
from reasoning_cli.engines.engine import Access, Engine
from reasoning_cli.engines.features import Feature
from reasoning_cli.engines.registry import Theirs
from reasoning_cli.errors import ConfigurationError, ReasoningError
from reasoning_cli.settings import environment
from reasoning_cli.testing.verdict import NotConforming

# What a connection to an engine with a feature has beside `close`.
CALLS: Mapping[Feature, type[Any]] = {
    Feature.ANSWER: clients.Answering,
    Feature.ABSTAIN: clients.Deciding,
    Feature.CONFIDENCE: clients.Answering,
    Feature.LIST: clients.ListingServer,
    Feature.SERVE: clients.Hosting,
    Feature.STOP: clients.Hosting,
    Feature.ADAPTERS: clients.Hosting,
    Feature.PRICE_BY_HOUR: clients.Catalog,
    Feature.PRICE_BY_TOKEN: clients.Answering,
    Feature.TRAIN: clients.Training,
    Feature.FILES: clients.Training,
    Feature.UPLOAD: clients.Uploading,
    Feature.BILL: clients.Billing,
    Feature.DOCUMENTED: clients.Documented,
    Feature.LEGACY: clients.LegacyHosting,
}
# What is declared with what: one that brings models up, and cannot take them down, would cost for ever.
TOGETHER_WITH: Mapping[Feature, frozenset[Feature]] = {
    Feature.CONFIDENCE: frozenset({Feature.ANSWER}),
    Feature.LIST: frozenset({Feature.ANSWER}),
    Feature.PRICE_BY_TOKEN: frozenset({Feature.ANSWER}),
    Feature.SERVE: frozenset({Feature.ANSWER, Feature.STOP, Feature.PRICE_BY_HOUR}),
    Feature.STOP: frozenset({Feature.SERVE}),
    Feature.ADAPTERS: frozenset({Feature.SERVE}),
    Feature.TRAIN: frozenset({Feature.FILES}),
}
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HEAVY = ("httpx", "pydantic", "numpy", "sklearn", "torch", "requests", "openai")
_QUESTION = (
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": "Is this a test?"},
)
_PROMPT = "<task>Decide on behalf of Nova whether to respond</task>"
_NOBODYS = "conformance-nobody-has-this"
_ENDPOINT = "reasoning-conformance"


def check_engine(
    engine: Engine,
    access: Access,
    *,
    model: str = "",
    nobody: Access | None = None,
    wrong_key: Access | None = None,
) -> None:
    """Check an engine by connecting to it as `access` says. Raises NotConforming with every finding, a sentence each.

    `model` is one that answers there. `nobody` leads to an address where nothing listens, `wrong_key` to the engine
    with a key it refuses; without them what is said then is not looked at. Nothing is made that costs money: where the
    engine can SERVE, an endpoint without a deployment is made and deleted.
    """
    check = _Check(engine)
    check.describes_itself()
    if not check.found:  # what it cannot say of itself cannot be asked either
        check.is_light()
        check.needs_access()
        check.is_connected_to(access, model)
        check.names_what_went_wrong(nobody, wrong_key, model)
    if check.found:
        raise NotConforming(f"the engine {getattr(engine, 'name', '?')!r}", check.found)


class _Check:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.found: list[str] = []

    def finds(self, finding: str) -> None:
        self.found.append(finding)

    def demands(self, is_so: object, finding: str) -> None:
        if not is_so:
            self.finds(finding)

    def says(self, what: str, call: Any, *args: Any, **options: Any) -> Any:
        """What a call returns; a finding, and None, where it raises."""
        try:
            return call(*args, **options)
        except Exception as error:  # whatever it is, the others are looked at as well
            self.finds(f"{what} raises {type(error).__name__}: {error}")
            return None

    @contextmanager
    def raising(self, what: str, *kinds: type[ReasoningError]) -> Iterator[None]:
        """Demand that what is done raises one of these, with something to type or read for the operator."""
        names = " or ".join(kind.__name__ for kind in kinds)
        try:
            yield
        except ReasoningError as error:
            self.demands(isinstance(error, kinds), f"{what} raises {type(error).__name__}, not {names}")
            self.demands(error.message and "\n" not in error.message, f"{what} raises an error of several lines")
        except Exception as error:
            self.finds(f"{what} raises {type(error).__name__}, not {names}")
        else:
            self.finds(f"{what} raises nothing, not {names}")

    # --- what it says of itself ---

    def describes_itself(self) -> None:
        if not isinstance(self.engine, Engine):
            members = ("name", "title", "features", "address", "connect")
            self.finds(f"it lacks {', '.join(name for name in members if not hasattr(self.engine, name))}")
            return
        name, title, features = self.engine.name, self.engine.title, self.engine.features
        self.demands(
            isinstance(name, str) and _NAME.fullmatch(name),
            f"its name is {name!r}: small letters, digits and hyphens, a letter first, 32 at most",
        )
        self.demands(isinstance(title, str) and title.strip() == title and title, f"its title is {title!r}")
        if not (isinstance(features, frozenset) and all(isinstance(feature, Feature) for feature in features)):
            self.finds("its features are not a frozenset of Feature")
            return
        self.demands(features, "it declares no feature")
        for feature in sorted(features):
            if lacking := TOGETHER_WITH.get(feature, frozenset()) - features:
                self.finds(f"it declares {feature}, and not {', '.join(sorted(lacking))}")

    def is_light(self) -> None:
        """Every command that names the engine pays for its import."""
        own = self.engine.module if isinstance(self.engine, Theirs) else type(self.engine).__module__
        for finding in _heavy(own):
            self.finds(finding)

    # --- how it is connected to ---

    def needs_access(self) -> None:
        """With nothing set it says what is missing, or needs nothing."""
        try:
            client = self.engine.connect(Access())
        except ConfigurationError as error:
            self.demands(error.hint, "connect(Access()) raises a ConfigurationError without a hint")
        except Exception as error:
            self.finds(f"connect(Access()) raises {type(error).__name__}, not ConfigurationError")
        else:
            client.close()
        address = self.says("address(Access())", self.engine.address, Access())
        self.demands(address is None or isinstance(address, str), f"address(Access()) is {address!r}")

    def is_connected_to(self, access: Access, model: str) -> None:
        client = self.says("connect(access)", self.engine.connect, access)
        if client is None:
            return
        known = len(self.found)
        self.has_its_calls(client)
        if len(self.found) == known:
            self.does_what_it_declares(client, model)
        for what in ("close()", "close(), called twice,"):
            self.says(what, client.close)

    def has_its_calls(self, client: object) -> None:
        for protocol in dict.fromkeys(CALLS[feature] for feature in sorted(self.engine.features)):
            for name in sorted(_members(protocol)):
                if (finding := _compared(client, protocol, name)) is not None:
                    self.finds(f"its connection {finding} (`{protocol.__name__}`)")

    def names_what_went_wrong(self, nobody: Access | None, wrong_key: Access | None, model: str) -> None:
        if nobody is not None:
            with self.raising("a question to an address where nothing listens", errors.UnreachableError):
                self._ask(nobody, model)
        if wrong_key is not None:
            with self.raising("a question with a key that is refused", errors.KeyRefusedError):
                self._ask(wrong_key, model)

    def _ask(self, access: Access, model: str) -> None:
        with closing(self.engine.connect(access)) as client:
            if Feature.ANSWER in self.engine.features:
                client.chat(model, _QUESTION, max_tokens=16)  # type: ignore[attr-defined]
            elif Feature.TRAIN in self.engine.features:
                client.jobs()  # type: ignore[attr-defined]

    # --- what it can do ---

    def does_what_it_declares(self, client: Any, model: str) -> None:
        features = self.engine.features
        if Feature.ANSWER in features:
            self.answers(client, model)
        if Feature.ABSTAIN in features:
            self.abstains(client)
        if Feature.LIST in features:
            self.lists(client, model)
        if {Feature.SERVE, Feature.TRAIN, Feature.UPLOAD, Feature.BILL} & features:
            self.has_an_account(client)
        if Feature.PRICE_BY_HOUR in features:
            self.prices_hardware(client)
        if Feature.SERVE in features:
            self.serves(client)
        if Feature.TRAIN in features:
            self.trains(client)
        if Feature.BILL in features:
            self.bills(client)

    def answers(self, client: clients.Answering, model: str) -> None:
        answer = self.says("chat()", client.chat, model, _QUESTION, max_tokens=16)
        if answer is not None:
            self.demands(isinstance(answer.text, str), "chat() returns no text")
            for name in ("prompt_tokens", "completion_tokens"):
                count = getattr(answer, name, ...)
                self.demands(count is None or (type(count) is int and count >= 0), f"chat().{name} is {count!r}")
            self.demands(
                answer.finish_reason is None or isinstance(answer.finish_reason, str),
                f"chat().finish_reason is {answer.finish_reason!r}",
            )
        with self.raising(
            "chat() of a model that is not there", errors.MissingError, errors.RequestRefusedError, errors.BusyError
        ):
            client.chat(_NOBODYS, _QUESTION, max_tokens=16)
        if Feature.CONFIDENCE in self.engine.features:
            asked = {"max_tokens": 16, "probabilities": True}
            sure = self.says("chat(probabilities=True)", client.chat, model, _QUESTION, **asked)
            self.demands(
                sure is None or sure.tells_probabilities is True,
                f"it declares {Feature.CONFIDENCE}, and chat(probabilities=True) tells no probabilities",
            )

    def abstains(self, client: clients.Deciding) -> None:
        for prompt in (_PROMPT, "", "\0" * 1000, "x" * 200_000):
            verdict = self.says("decide()", client.decide, prompt)
            if verdict is None:
                continue
            self.demands(
                verdict.label is None or isinstance(verdict.label, str), f"decide().label is {verdict.label!r}"
            )
            self.demands(0 <= verdict.confidence <= 1, f"decide().confidence is {verdict.confidence!r}")
            self.demands(verdict.reason, "decide() gives no reason")
            again = self.says("decide()", client.decide, prompt)
            self.demands(
                again is not None and again.label == verdict.label, "decide() of the same prompt decides otherwise"
            )
        nothing = self.says("decide()", client.decide, "")
        self.demands(nothing is None or nothing.label is None, "decide() does not abstain from an empty prompt")

    def lists(self, client: clients.ListingServer, model: str) -> None:
        found = self.says("models()", client.models) or []
        names = [served.name for served in found]
        self.demands(model in names, f"models() does not list `{model}`, which answers: {names}")
        keeps = self.says("keeps_max_tokens()", client.keeps_max_tokens, model)
        self.demands(keeps in (True, False, None), f"keeps_max_tokens() is {keeps!r}")

    def has_an_account(self, client: clients.Account) -> None:
        project = self.says("project", lambda: client.project)
        self.demands(project is None or project.id, "project has no id")
        now = self.says("now()", client.now)
        self.demands(now is None or now.utcoffset() == timedelta(0), f"now() is not in UTC: {now}")

    def prices_hardware(self, client: clients.Catalog) -> None:
        for kind in self.says("instance_types()", client.instance_types) or []:
            price = kind.price_cents_per_hour
            self.demands(type(price) is int and price > 0, f"an hour of `{kind.name}` is {price!r} cents")

    def serves(self, client: clients.Hosting) -> None:
        """An endpoint without a deployment, which costs nothing: made once however often it is asked for."""
        with self.raising("endpoint() of one that is not there", errors.MissingError):
            client.endpoint(_NOBODYS)
        made = self.says("create_endpoint()", client.create_endpoint, _ENDPOINT)
        if made is None:
            return
        try:
            again = self.says("create_endpoint(), called twice,", client.create_endpoint, _ENDPOINT)
            self.demands(again is None or again.id == made.id, "create_endpoint(), called twice, makes two endpoints")
            found = self.says("find_endpoint()", client.find_endpoint, _ENDPOINT)
            self.demands(found is not None and found.id == made.id, "find_endpoint() does not find what was made")
            self.demands(not list(client.deployments(made.id)), "a new endpoint has deployments")
        finally:
            for what in ("delete_endpoint()", "delete_endpoint(), called twice,"):
                self.says(what, client.delete_endpoint, made.id)
        left = self.says("find_endpoint()", client.find_endpoint, _ENDPOINT)
        self.demands(left is None, "find_endpoint() finds what was deleted")

    def trains(self, client: clients.Training) -> None:
        for what, call in (
            ("job()", client.job),
            ("cancel_job()", client.cancel_job),
            ("file()", client.file),
            ("limits_of()", client.limits_of),
        ):
            with self.raising(f"{what} of one that is not there", errors.MissingError):
                call(_NOBODYS)
        self.says("delete_file() of one that is not there", client.delete_file, _NOBODYS)
        for job in self.says("jobs()", client.jobs) or []:
            self.demands(job.status == job.status.lower(), f"the status of `{job.id}` is {job.status!r}")
            self.demands(job.cents >= 0, f"`{job.id}` costs {job.cents} cents")

    def bills(self, client: clients.Billing) -> None:
        """Where the bill is not enabled, it is missing."""
        with contextlib.suppress(errors.MissingError):
            for window in client.billing_usage("2026-01"):
                self.demands(window.end_time > window.start_time, f"the window of {window.date} ends before it begins")


def _members(protocol: type[Any]) -> Iterable[str]:
    """What a Protocol names, those it builds on included."""
    found: dict[str, None] = {}
    for kind in protocol.__mro__:
        if kind.__module__ == clients.__name__:
            found.update(dict.fromkeys(name for name in vars(kind) if not name.startswith("_")))
    return found


def _compared(client: object, protocol: type[Any], name: str) -> str | None:
    """How what a connection has under a name differs from the Protocol's; it is looked at, and not called."""
    try:
        has = inspect.getattr_static(client, name)
    except AttributeError:
        return f"lacks `{name}`"
    wants = inspect.getattr_static(protocol, name)
    if not callable(wants):
        return None
    if not callable(getattr(type(client), name, has)):
        return f"has `{name}`, which cannot be called"
    takes = inspect.signature(getattr(client, name)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        return None
    wanted = list(inspect.signature(wants).parameters.values())[1:]
    by_name = [parameter.name for parameter in wanted if parameter.kind is parameter.KEYWORD_ONLY]
    if lacking := [parameter for parameter in by_name if parameter not in takes]:
        return f"has `{name}` without {', '.join(lacking)}"
    needed = [
        parameter.name
        for parameter in takes.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    most = len([parameter for parameter in wanted if parameter.default is parameter.empty])
    if len(needed) > most:
        return f"has `{name}`, which needs {', '.join(needed)}"
    return None


@cache
def _heavy(module: str) -> tuple[str, ...]:
    """What a fresh interpreter finds of importing a module."""
    script = (
        "import importlib, sys; before = set(sys.modules);"
        f" importlib.import_module({module!r}); print(*sorted((set(sys.modules) - before) & set({_HEAVY!r})))"
    )
    path = ":".join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**environment(), "PYTHONPATH": path},
    )
    if done.returncode != 0:
        return (f"`{module}` cannot be imported alone: {' '.join(done.stderr.split())[-200:]}",)
    loaded = done.stdout.split()
    return (f"importing `{module}` loads {', '.join(loaded)}: import them in connect()",) if loaded else ()
