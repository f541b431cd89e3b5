"""A decision on its way through a real gateway: to the slot's model, to the original provider, and into the log."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reasoning_cli.decisions.answers import ShouldRespondAnswer, parse_answer
from reasoning_cli.gateway.decision_path import MOST_SHADOWED
from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.dialects.events import read_events
from reasoning_cli.gateway.dialects.forms import CapturedResponse
from reasoning_cli.gateway.stats.figures import Figures, LastMinute
from reasoning_cli.gateway.stats.metrics import metrics_text
from reasoning_cli.values import Mode
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served, served
from tests.waiting import until

FACES = {"responses": responses.DIALECT, "chat": chat.DIALECT, "messages": messages.DIALECT}
every_face = pytest.mark.parametrize("face", FACES)
whole_or_stream = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def ask(gateway: Served, face: str, prompt: str, *, stream: bool = False) -> CapturedResponse:
    """Ask, and read the answer as the log would."""
    answer = gateway.client.post(PATHS[face], json=request(face, prompt, stream=stream))
    assert answer.status_code == 200, answer.text
    if stream:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return FACES[face].capture_events(read_events(answer.content))
    return FACES[face].capture(answer.json())


@every_face
@whole_or_stream
@pytest.mark.parametrize("model_type", ["should_respond", "planning", "coding"])
def test_the_slot_answers_in_the_callers_dialect(gateway: Served, face: str, stream: bool, model_type: str) -> None:
    heard = ask(gateway, face, PROMPTS[model_type], stream=stream)
    assert heard.whole
    assert parse_answer(model_type, heard.text) == parse_answer(model_type, canned.MODEL_SAYS[model_type])
    assert (heard.prompt_tokens, heard.completion_tokens) in ((100, 20), (None, None))
    assert heard.model in ("gpt-4o", "claude-x", None)
    assert gateway.original.received == []
    (asked,) = gateway.model.received
    assert asked.header("authorization") == "Bearer model-key"
    assert asked.json["model"] == "acme/model"
    assert asked.json["temperature"] == 0
    assert asked.json["max_tokens"] == 1000
    assert asked.json["messages"][-1] == {"role": "user", "content": PROMPTS[model_type]}
    (sample,) = gateway.samples(1)
    assert (sample.source, sample.origin, sample.model, sample.model_type) == (
        "slot",
        "gateway",
        "acme/model",
        model_type,
    )
    assert (sample.prompt, sample.system) == (PROMPTS[model_type], "You are Nova.")
    assert (sample.prompt_tokens, sample.completion_tokens) == (100, 20)


@every_face
@whole_or_stream
def test_what_is_no_decision_passes_byte_for_byte(gateway: Served, face: str, stream: bool) -> None:
    # Spelled as no serializer would: that it arrives so shows that nothing was rewritten.
    body = ("  " + json.dumps(request(face, PROMPTS["other"], stream=stream), indent=1) + "\n").encode()
    headers = {"content-type": "application/json", "authorization": "Bearer sk-mine", "x-odd": "Ä".encode("latin-1")}
    answer = gateway.client.post(f"{PATHS[face]}?beta=true&a=%2F", content=body, headers=headers)
    (asked,) = gateway.original.received
    assert asked.body == body
    assert asked.target == f"{PATHS[face]}?beta=true&a=%2F"
    assert asked.header("authorization") == "Bearer sk-mine"
    assert asked.header("host") == gateway.original.url.removeprefix("http://")
    assert answer.headers["x-request-id"] == "up-1"
    wanted = {
        "responses": (canned.responses_answer, canned.responses_events),
        "chat": (canned.chat_answer, canned.chat_events),
        "messages": (canned.messages_answer, canned.messages_events),
    }[face]
    text = canned.ORIGINAL_SAYS["other"]
    assert answer.content == (b"".join(wanted[1](text)) if stream else json.dumps(wanted[0](text)).encode())
    assert gateway.model.received == []


BAD_ANSWERS = {
    "junk": (canned.saying("Sure! I would respond to this."), "invalid: no XML answer"),
    "only thoughts": (
        canned.saying("<think>Hm. <response><action>STOP</action></response>"),
        "invalid: nothing but thinking",
    ),
    "unknown action": (
        canned.saying("<response><action>MAYBE</action></response>"),
        "invalid: action is none of RESPOND, IGNORE, STOP",
    ),
    "empty": (canned.saying(""), "invalid: empty"),
    "html": (canned.saying("", choices="<html>"), "not an answer of a model"),
}


@every_face
@whole_or_stream
@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_a_bad_answer_of_the_model_never_reaches_the_agent(gateway: Served, face: str, stream: bool, bad: str) -> None:
    gateway.model.handler, why = BAD_ANSWERS[bad]
    heard = ask(gateway, face, PROMPTS["should_respond"], stream=stream)
    assert heard.text == canned.ORIGINAL_SAYS["should_respond"]
    assert len(gateway.original.received) == len(gateway.model.received) == 1
    (sample,) = gateway.samples(1)
    assert (sample.source, sample.output, sample.decision) == ("fallback", heard.text, "RESPOND")
    assert sample.metadata["fallback"] == why
    (attempt,) = gateway.attempts(sample)
    assert (attempt.failure, attempt.mode, attempt.deployment_key) == (why, "live", "key-1")


async def fails(request: Received, answering: Answering) -> None:
    await answering.whole(500, {"error": {"message": "broken", "code": None}})


async def not_running(request: Received, answering: Answering) -> None:
    await answering.whole(400, {"error": {"message": "no", "code": "dedicated_endpoint_not_running"}})


async def hangs(request: Received, answering: Answering) -> None:
    await answering.until_caller_leaves()


async def cuts(request: Received, answering: Answering) -> None:
    await answering.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
    answering.cut()


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (fails, "refused: status 500"),
        (not_running, "refused: dedicated_endpoint_not_running"),
        (hangs, "too late"),
        (cuts, "unreachable: CutOff"),
    ],
)
def test_a_model_that_fails_is_replaced_by_the_original(gateway: Served, handler: object, why: str) -> None:
    gateway.model.handler = handler  # type: ignore[assignment]
    if handler is hangs:
        gateway.change("planning", deadline_seconds=0.2)
    assert ask(gateway, "responses", PROMPTS["planning"]).text == canned.ORIGINAL_SAYS["planning"]
    assert gateway.samples(1)[0].metadata["fallback"] == why


def test_after_five_failures_in_a_row_the_model_is_left_alone(gateway: Served) -> None:
    gateway.model.handler = fails
    for _ in range(8):
        assert ask(gateway, "chat", PROMPTS["planning"]).text == canned.ORIGINAL_SAYS["planning"]
    assert len(gateway.model.received) == 5
    record = gateway.client.get("/stats").json()
    assert record["slots"]["planning"]["circuit"] == "open"
    reasons = record["model_types"]["planning"]["by_source"]
    assert reasons["fallback"]["reasons"] == {"refused: status 500": 5}
    assert reasons["original"]["reasons"] == {"its circuit is open": 3}


@pytest.mark.both_engines
def test_a_shadow_is_asked_beside_the_original_and_never_delays_it(gateway: Served) -> None:
    gateway.change("should_respond", mode=Mode.SHADOW)
    assert ask(gateway, "messages", PROMPTS["should_respond"]).text == canned.ORIGINAL_SAYS["should_respond"]
    (sample,) = gateway.samples(1)
    (attempt,) = gateway.attempts(sample)
    assert (sample.source, attempt.mode, attempt.failure, attempt.agrees) == ("original", "shadow", None, True)
    gateway.model.handler = hangs
    gateway.change("should_respond", deadline_seconds=0.5)
    assert ask(gateway, "messages", PROMPTS["should_respond"]).text == canned.ORIGINAL_SAYS["should_respond"]


def test_a_slow_shadow_is_shown_no_more_than_it_can_answer(gateway: Served) -> None:
    gateway.change("should_respond", mode=Mode.SHADOW, deadline_seconds=120)
    released = threading.Event()

    async def slow(request: Received, answering: Answering) -> None:
        while not released.is_set():
            await asyncio.sleep(0.01)
        await canned.model(request, answering)

    gateway.model.handler = slow
    for _ in range(MOST_SHADOWED + 4):
        assert ask(gateway, "chat", PROMPTS["should_respond"]).text == canned.ORIGINAL_SAYS["should_respond"]
    until(lambda: len(gateway.model.received) == MOST_SHADOWED, "the shadow's calls")
    entry = gateway.client.get("/stats").json()["model_types"]["should_respond"]
    assert (entry["decisions"], entry["not_asked_beside"]) == (MOST_SHADOWED + 4, 4)
    assert len(gateway.samples(4)) == 4, "what was shown to nobody is in the log at once"
    released.set()
    assert len(gateway.samples(MOST_SHADOWED + 4)) == MOST_SHADOWED + 4
    ask(gateway, "chat", PROMPTS["should_respond"])
    until(lambda: len(gateway.model.received) == MOST_SHADOWED + 1, "the shadow once more")


def test_a_canary_answers_the_same_people_every_time(gateway: Served) -> None:
    gateway.change("planning", mode=Mode.CANARY, share_percent=50)
    prompt = PROMPTS["planning"].replace("12:00 (just now) Sam:", "12:00 (just now) [{}] Sam:")
    by_person = []
    for person in range(30):
        texts = {ask(gateway, "chat", prompt.format(f"person-{person}")).text for _ in range(2)}
        assert len(texts) == 1
        by_person.append("model" in texts.pop())
    assert 5 < sum(by_person) < 25


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"closed": "the budget is spent"}, "the budget is spent"),
        ({"window_tokens": 100}, "longer than the model's context window"),
    ],
)
def test_a_slot_that_cannot_answer_is_not_asked(gateway: Served, changes: dict[str, object], why: str) -> None:
    gateway.change("planning", **changes)
    assert ask(gateway, "responses", PROMPTS["planning"]).text == canned.ORIGINAL_SAYS["planning"]
    assert gateway.model.received == []
    (sample,) = gateway.samples(1)
    assert sample.source == "original"
    assert gateway.client.get("/stats").json()["model_types"]["planning"]["by_source"]["original"]["reasons"] == {
        why: 1
    }


@pytest.mark.parametrize("path", ["/messages", "/v1/messages", "/v1/v1/messages"])
def test_anthropic_clients_that_disagree_about_the_base_all_arrive(gateway: Served, path: str) -> None:
    answer = gateway.client.post(path, json=request("messages", PROMPTS["should_respond"]))
    assert isinstance(parse_answer("should_respond", answer.json()["content"][0]["text"]), ShouldRespondAnswer)
    gateway.client.post(path, json=request("messages", PROMPTS["other"]))
    assert [one.target for one in gateway.original.received] == ["/v1/messages"]


@pytest.mark.parametrize(
    ("method", "path", "there"),
    [
        ("GET", "/v1/models", "/v1/models"),
        ("POST", "/v1/embeddings?x=1", "/v1/embeddings?x=1"),
        ("POST", "/v1/messages/count_tokens?beta=true", "/v1/messages/count_tokens?beta=true"),
        ("HEAD", "/api/hello", "/api/hello"),
        ("DELETE", "/v1/files/a%2Fb", "/v1/files/a%2Fb"),
        ("POST", "/api/show", "/api/show"),
    ],
)
def test_every_other_path_is_handed_through(gateway: Served, method: str, path: str, there: str) -> None:
    answer = gateway.client.request(method, path, content=b"abc" if method == "POST" else None)
    (asked,) = gateway.original.received
    assert (answer.status_code, asked.method, asked.target) == (200, method, there)
    assert asked.body == (b"abc" if method == "POST" else b"")


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
@every_face
def test_an_error_of_the_original_arrives_as_it_is(tmp_path: Path, face: str, status: int) -> None:
    async def refuses(request: Received, answering: Answering) -> None:
        headers = {"retry-after": "7", "x-should-retry": "true", "request-id": "req_1"}
        await answering.whole(status, b'{"odd":  "spelling"}', headers)

    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = refuses
        answer = gateway.client.post(PATHS[face], json=request(face, PROMPTS["planning"]))
        assert (answer.status_code, answer.content) == (status, b'{"odd":  "spelling"}')
        assert (answer.headers["retry-after"], answer.headers["request-id"]) == ("7", "req_1")
        assert len(gateway.original.received) == 1


def test_a_caller_that_leaves_ends_the_call_at_the_original(gateway: Served) -> None:
    gateway.original.handler = hangs
    with pytest.raises(Exception, match="timed out"):
        gateway.client.post("/v1/responses", json=request("responses", PROMPTS["other"]), timeout=0.3)
    until(lambda: gateway.original.received, "the call")
    assert gateway.original.received[0].left.wait(60)


def test_a_gateway_with_a_token_lets_nobody_else_in(tmp_path: Path) -> None:
    with served(tmp_path, token="the-token") as gateway:
        body = request("messages", PROMPTS["should_respond"])
        refused = gateway.client.post("/v1/messages", json=body)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        assert gateway.client.get("/stats").status_code == 401
        admitted = gateway.client.post("/v1/messages", json=body, headers={"x-reasoning-token": "the-token"})
        assert admitted.status_code == 200
        gateway.client.get("/v1/models", headers={"x-reasoning-token": "the-token"})
        assert gateway.original.received[0].header("x-reasoning-token") is None


def complaints_about(text: str) -> list[str]:
    """What `promtool check metrics` complains about; by its own rules here where there is no promtool."""
    if shutil.which("promtool") is not None:
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        return (done.stdout + done.stderr).splitlines()
    found = []
    for family in text_string_to_metric_families(text):
        labels = {label for sample in family.samples for label in sample.labels}
        if not family.documentation:
            found.append(f"{family.name}: no help text")
        if re.search(r"milli|micro|nano|minute|hour|kilo|mega|_ms$", family.name):
            found.append(f"{family.name}: not in base units")
        if re.search(r"gauge|counter|histogram|summary", family.name):
            found.append(f"{family.name}: names its type")
        if family.type != "histogram" and "le" in labels:
            found.append(f"{family.name}: `le` outside of a histogram")
        if family.type != "summary" and "quantile" in labels:
            found.append(f"{family.name}: `quantile` outside of a summary")
        if family.type == "counter" and not all(sample.name.endswith("_total") for sample in family.samples):
            found.append(f"{family.name}: a counter that does not end in _total")
        if family.type != "counter" and family.name.endswith(("_total", "_count", "_sum", "_bucket")):
            found.append(f"{family.name}: ends like another type")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", family.name):
            found.append(f"{family.name}: not in snake case")
    return found


def test_calls_of_the_last_minute_are_those_of_sixty_seconds() -> None:
    times = [0.0]
    calls = LastMinute(lambda: times[-1])
    assert calls.total() == 0
    for at in (0.0, 0.9, 30.0, 59.9):
        times.append(at)
        calls.count()
    assert calls.total() == 4
    times.append(60.0)
    assert calls.total() == 2
    calls.count()
    assert calls.total() == 3
    times.append(500.0)
    assert calls.total() == 0


def test_an_original_is_reachable_where_it_answered_last_whichever_worker_saw_that() -> None:
    one, other = Figures(), Figures()
    one.reached("https://name:secret@api.example.com/v1/chat/completions")
    other.reached("https://api.example.com/v1/models", "Unreachable")
    one.reached("http://127.0.0.1:9/v1", "TooSlow")
    one.add(other.snapshot())
    one.add({**other.snapshot(), "originals": [["127.0.0.1:9", 0.0, None, None]]})
    found = {host["host"]: (host["reachable"], host["failure"]) for host in one.record()["baseline"]}
    assert found == {"api.example.com": (False, "Unreachable"), "127.0.0.1:9": (False, "TooSlow")}
    assert one.record()["upstream_errors"] == {"Unreachable": 2, "TooSlow": 1}
    one.reached("https://api.example.com/v1/models")
    (host,) = (host for host in one.record()["baseline"] if host["host"] == "api.example.com")
    assert host["reachable"] and host["answered_at"] >= host["failed_at"]
    for number in range(40):
        one.reached(f"http://host-{number}/")
    assert len(one.record()["baseline"]) == 16
    before = {name: value for name, value in Figures().snapshot().items() if name != "originals"}
    one.add(before)


def test_latencies_are_counted_by_their_seconds_over_all_workers() -> None:
    one, other = Figures(), Figures()
    for latency_ms in (10, 50, 51, 999, 61_000):
        one.count("planning", "slot", "r", latency_ms)
    other.count("planning", "slot", "r", 100)
    one.add(other.snapshot())
    named = {"instance": "i", "host": "h", "version": "v"}
    record = {
        **named,
        **one.record(),
        "slots": {},
        "recording": {"stored": 0, "unreadable": 0, "dropped": 0, "spooled": 0},
    }
    for entry in record["model_types"].values():
        entry["models"] = []
    text = metrics_text(record).decode()
    buckets = re.findall(r'latency_seconds_bucket\{le="([^"]+)",model_type="planning",source="slot"\} (\S+)', text)
    assert dict(buckets) == {
        "0.05": "2.0", "0.1": "4.0", "0.25": "4.0", "0.5": "4.0", "1.0": "5.0", "2.5": "5.0", "5.0": "5.0",
        "10.0": "5.0", "30.0": "5.0", "60.0": "5.0", "+Inf": "6.0",
    }  # fmt: skip
    assert 'reasoning_gateway_latency_seconds_sum{model_type="planning",source="slot"} 62.21' in text
    assert complaints_about(text) == []


def test_metrics_and_health(gateway: Served) -> None:
    ask(gateway, "chat", PROMPTS["planning"])
    text = gateway.client.get("/metrics").text
    assert (
        'reasoning_gateway_decisions_total{model_type="planning",reason="first line of the template",source="slot"} 1.0'
        in text
    )
    assert 'reasoning_gateway_latency_seconds_count{model_type="planning",source="slot"} 1.0' in text
    assert complaints_about(text) == []
    assert gateway.client.get("/health").json() == {"status": "ok"}
    assert gateway.client.get("/ready").json() == {"ready": True}
