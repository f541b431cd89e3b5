"""`check_engine` over each engine there is, and over engines that break what it looks at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_cli.engines import registry
from reasoning_cli.engines.engine import Access, Engine
from reasoning_cli.engines.errors import KeyRefusedError, MissingError
from reasoning_cli.engines.features import Feature
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.testing import NotConforming, check_engine
from reasoning_cli.testing.engines import CALLS, TOGETHER_WITH
from tests.engines.good import Client, Good, Said, refuse
from tests.engines.third_party import ENGINE, install
from tests.engines.together.service import KEY, service
from tests.gateway.canned import chat_answer, sse
from tests.gateway.provider import Answering, Provider, Received

NOBODY = Access("http://127.0.0.1:9/v1", "key", sleep=lambda seconds: None)


# --- ours ---


def test_together_conforms(tmp_path: Path) -> None:
    with service(tmp_path) as together:
        deployed = together.deploy("should_respond")
        access = Access(together.url, KEY, sleep=together.sleep)
        check_engine(
            registry.engine("together"),
            access,
            model=deployed.record.serving_name or "",
            nobody=replace(NOBODY, url="http://127.0.0.1:9"),
            wrong_key=replace(access, api_key="revoked"),
        )
        assert [endpoint["name"] for endpoint in together.endpoints()] == [deployed.record.serving_name]


@pytest.fixture
def server() -> Iterator[Provider]:
    """A server of the operator's own, as vLLM is: it knows its models and its key, and tells probabilities."""

    async def answer(request: Received, answering: Answering) -> None:
        if request.header("authorization") != "Bearer house-key":
            await answering.whole(401, {"error": {"message": "wrong key", "code": "invalid_api_key"}})
        elif request.target.endswith("/models"):
            await answering.whole(200, {"object": "list", "data": [{"id": "smol", "max_model_len": 2048}]})
        elif request.json["model"] != "smol":
            await answering.whole(404, {"error": {"message": "no such model", "code": 404}})
        else:
            said = chat_answer("yes")
            choice = said["choices"][0]
            if request.json.get("logprobs"):
                choice["logprobs"] = {"content": [{"token": "yes", "logprob": -0.1}]}
            if not request.json.get("stream"):
                await answering.whole(200, said)
                return
            piece = {"index": 0, "delta": {"role": "assistant", "content": "yes"}, "finish_reason": None}
            piece["logprobs"] = choice.get("logprobs")
            end = {"index": 0, "delta": {}, "finish_reason": "stop"}
            head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "smol"}
            chunks = [sse({**head, "choices": [chunk]}) for chunk in (piece, end)]
            await answering.events([*chunks, b"data: [DONE]\n\n"])

    provider = Provider(answer)
    yield provider
    provider.close()


def test_a_server_of_the_operators_own_conforms(server: Provider) -> None:
    access = Access(f"{server.url}/v1", "house-key")
    check_engine(
        registry.engine("openai"), access, model="smol", nobody=NOBODY, wrong_key=replace(access, api_key="other")
    )


# --- others' ---


def changed(**members: object) -> Engine:
    """An engine that conforms, but for this."""
    engine: Engine = type("Changed", (Good,), {"__module__": Good.__module__, **members})()
    return engine


def client_with(**members: object) -> Callable[[object, Access], object]:
    """A `connect` whose connection has these in the place of its own."""

    def connect(self: object, access: Access) -> object:
        if access.api_key is None:
            refuse(ConfigurationError)
        return type("Changed", (Client,), members)()

    return connect


def no_chat(self: object, model: str, messages: object, *, max_tokens: int) -> Said:
    return Said()


def chats_with(answer: object) -> Callable[..., object]:
    def chat(self: object, model: str, messages: object, *, max_tokens: int, probabilities: bool = False) -> object:
        if model != "m":
            refuse(MissingError)
        return answer

    return chat


def crash(*args: object, **options: object) -> None:
    raise RuntimeError("out of order")


ACCESS = Access("http://acme.example/v1", "key")


def test_the_engine_that_the_others_are_changed_from_conforms() -> None:
    check_engine(Good(), ACCESS, model="m")


@pytest.mark.parametrize(
    ("engine", "finding"),
    [
        (changed(name="Acme Inc"), "its name is 'Acme Inc'"),
        (changed(title=""), "its title is ''"),
        (changed(features=frozenset()), "it declares no feature"),
        (changed(features=["answer"]), "its features are not a frozenset of Feature"),
        (changed(features=frozenset({Feature.SERVE})), "it declares serve, and not answer, price by the hour, stop"),
        (changed(features=frozenset({Feature.CONFIDENCE})), "it declares confidence, and not answer"),
        (changed(connect=lambda self, access: Client()), None),
        (changed(connect=crash), "connect(Access()) raises RuntimeError, not ConfigurationError"),
        (changed(address=crash), "address(Access()) raises RuntimeError: out of order"),
        (changed(connect=client_with(chat=None)), "its connection has `chat`, which cannot be called"),
        (changed(connect=client_with(chat=no_chat)), "its connection has `chat` without probabilities"),
        (changed(connect=client_with(close=crash)), "close() raises RuntimeError: out of order"),
        (changed(connect=client_with(chat=chats_with(Said(text=None)))), "chat() returns no text"),  # type: ignore[arg-type]
        (changed(connect=client_with(chat=chats_with(Said(prompt_tokens=-1)))), "chat().prompt_tokens is -1"),
        (
            changed(connect=client_with(chat=chats_with(Said(tells_probabilities=False)))),
            "it declares confidence, and chat(probabilities=True) tells no probabilities",
        ),
        (
            changed(connect=client_with(chat=lambda self, model, messages, *, max_tokens, probabilities=False: Said())),
            "chat() of a model that is not there raises nothing, not MissingError",
        ),
        (
            changed(features=frozenset({Feature.ANSWER, Feature.LIST})),
            "its connection lacks `models` (`ListingServer`)",
        ),
        (changed(features=frozenset({Feature.ABSTAIN})), "its connection lacks `decide` (`Deciding`)"),
    ],
)
def test_what_does_not_conform_is_found(engine: Engine, finding: str | None) -> None:
    if finding is None:  # one that needs nothing is as good as one that says what it needs
        check_engine(engine, ACCESS, model="m")
        return
    with pytest.raises(NotConforming) as raised:
        check_engine(engine, ACCESS, model="m")
    assert any(found.startswith(finding) for found in raised.value.findings), raised.value.findings


def test_trouble_must_bear_its_name() -> None:
    with pytest.raises(NotConforming) as raised:
        check_engine(Good(), ACCESS, model="m", nobody=replace(ACCESS, url="x"), wrong_key=ACCESS)
    assert raised.value.findings == (
        "a question to an address where nothing listens raises nothing, not UnreachableError",
        "a question with a key that is refused raises nothing, not KeyRefusedError",
    )
    assert KeyRefusedError("no", None).exit_code == 4


def test_what_is_not_an_engine_at_all_is_one_finding() -> None:
    with pytest.raises(NotConforming, match="it lacks title, features, address, connect"):
        check_engine(type("Nothing", (), {"name": "x"})(), ACCESS)  # type: ignore[arg-type]


def test_an_engine_that_is_heavy_to_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "acme", f"import httpx\n{ENGINE}", package="heavy_engine")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotConforming, match=r"importing `heavy_engine` loads httpx: import them in connect\(\)"):
        check_engine(registry.engine("acme"), Access())


def test_a_package_of_others_is_checked_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "acme_engine", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "acme")
    check_engine(registry.engine("acme"), Access(), model="m")


def test_every_feature_has_its_calls_and_every_engine_only_known_ones() -> None:
    assert CALLS.keys() == set(Feature)
    for name in registry.engine_names():
        assert registry.engine(name).name == name


# --- as documented ---

PAGE = (Path(__file__).parents[2] / "docs/guides/engines.md").read_text(encoding="utf-8")


def test_the_engine_in_the_guide_conforms(server: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = PAGE.split("```python\n")[1].split("```")[0]
    install(tmp_path, "acme", source.replace("ACME = ", "ENGINE = "), package="documented_engine")
    monkeypatch.syspath_prepend(tmp_path)
    access = Access(f"{server.url}/v1", "house-key")
    check_engine(
        registry.engine("acme"), access, model="smol", nobody=NOBODY, wrong_key=replace(access, api_key="revoked")
    )


def test_the_guide_has_every_engine_and_every_feature() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
    engines = {row[0].strip("`"): row[2] for row in rows if row[0].startswith("`")}
    assert {name: set(said.split(", ")) for name, said in engines.items()} == {
        name: set(registry.engine(name).features) for name in registry.engine_names()
    }
    features = {row[0]: (row[1].strip("`"), row[2]) for row in rows if row[0] in set(Feature)}
    assert features == {
        feature: (CALLS[feature].__name__, ", ".join(sorted(TOGETHER_WITH.get(feature, ())))) for feature in Feature
    }
