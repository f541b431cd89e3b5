"""Recorded calls and fine-tuning files become the samples they hold, by what each says."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.operations.data.ingest.manifest import exported
from reasoning_cli.operations.data.ingest.pipeline import ImportReport
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.conftest import Run
from tests.operations.taking_in import import_file

ROWS = Path(__file__).parents[3] / "data" / "elizaos-logs.jsonl"
RESPOND = "<response><name>Nova</name><reasoning>asked</reasoning><action>RESPOND</action></response>"
IGNORE = RESPOND.replace("RESPOND", "IGNORE")
PROMPT = EXAMPLES["should_respond"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def take(store: Store, *rows: dict[str, Any], **options: Any) -> ImportReport:
    return import_file(io.BytesIO("\n".join(map(json.dumps, rows)).encode()), store, **options)


def only(store: Store) -> Sample:
    [sample] = Samples(store).iterate()
    return sample


# --- recorded calls ---


@pytest.mark.parametrize("name", ["elizaos", "claude-code", "model-plugins", "anthropic-sdk"])
def test_recorded_traffic_gives_the_decisions_in_it(store: Store, shared: Path, name: str) -> None:
    file = shared / "traffic" / f"{name}.jsonl"
    recorded = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    truth = Counter(row["kind"] for row in recorded if row["kind"] in ("should_respond", "planning"))
    if name == "claude-code":  # the other conversation has several turns, and the rest was refused
        truth["coding"] = 1
    report = import_file(file, store)
    assert (Counter(report.by_type), report.read, report.bad) == (truth, len(recorded), 0)
    assert import_file(file, store, again=True).added == 0
    if name == "elizaos":
        assert {sample.provider for sample in Samples(store).iterate()} == {"openai", "anthropic"}
        assert all(sample.decision and sample.agent_name == "Nova" for sample in Samples(store).iterate())


def exchange(path: str, body: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    return {"at": "2026-11-01T10:00:00Z", "ms": 321, "request": {"path": path, "body": body}, "response": response}


CHAT = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "system", "content": "Be Nova."}, {"role": "user", "content": PROMPT}],
}
ANTHROPIC = {
    "model": "claude",
    "system": "Be Nova.",
    "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
}
RESPONSES = {
    "model": "gpt-4o",
    "input": [
        {"role": "system", "content": "Be Nova."},
        {"role": "user", "content": [{"type": "input_text", "text": PROMPT}]},
    ],
}
CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-mini-2024",
    "created": 1_793_500_000,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": RESPOND}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 300, "completion_tokens": 20},
}
MESSAGE = {
    "type": "message",
    "model": "claude-1",
    "content": [{"type": "text", "text": RESPOND}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 300, "output_tokens": 20},
}
RESPONSES_ANSWER = {
    "object": "response",
    "model": "gpt-4o",
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": RESPOND}]}],
    "usage": {"input_tokens": 300, "output_tokens": 20},
}
CHAT_SSE = "".join(
    f"data: {json.dumps({'model': 'gpt', 'choices': [choice]})}\n\n"
    for choice in (
        {"index": 0, "delta": {"role": "assistant", "content": RESPOND[:30]}},
        {"index": 0, "delta": {"content": RESPOND[30:]}},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    )
)


@pytest.mark.parametrize(
    ("path", "body", "response"),
    [
        ("/v1/chat/completions", CHAT, {"status": 200, "body": CHAT_ANSWER}),
        ("https://api.openai.com/v1/chat/completions", CHAT, {"status": 200, "body": CHAT_ANSWER}),
        ("/v1/chat/completions", {**CHAT, "stream": True}, {"status": 200, "sse": CHAT_SSE + "data: [DONE]\n\n"}),
        ("/v1/responses", RESPONSES, {"status": 200, "body": RESPONSES_ANSWER}),
        ("", RESPONSES, {"status": 200, "body": RESPONSES_ANSWER}),
        ("/v1/messages?beta=true", ANTHROPIC, {"status": 200, "body": MESSAGE}),
        ("", ANTHROPIC, {"body": MESSAGE}),
        ("", CHAT, CHAT_ANSWER),
    ],
    ids=[
        "chat",
        "full address",
        "stream",
        "responses",
        "responses without a path",
        "messages",
        "messages without a path",
        "bare bodies",
    ],
)
def test_every_dialect_says_the_same(store: Store, path: str, body: dict[str, Any], response: dict[str, Any]) -> None:
    report = take(store, exchange(path, body, response))
    assert report.added == 1, report
    sample = only(store)
    assert (sample.model_type, sample.decision, sample.prompt, sample.output) == (
        "should_respond",
        "RESPOND",
        PROMPT,
        RESPOND,
    )
    assert (sample.system, sample.latency_ms, sample.origin) == ("Be Nova.", 321, "request-log")
    assert sample.created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "body", "answer", "usage"),
    [
        ("/v1/chat/completions", CHAT, CHAT_ANSWER, {"prompt_tokens_details": {"cached_tokens": 128}}),
        ("/v1/responses", RESPONSES, RESPONSES_ANSWER, {"input_tokens_details": {"cached_tokens": 128}}),
        ("/v1/messages", ANTHROPIC, MESSAGE, {"input_tokens": 172, "cache_read_input_tokens": 128}),
    ],
    ids=["chat", "responses", "messages"],
)
def test_tokens_that_were_cached_are_kept_apart(
    store: Store, path: str, body: dict[str, Any], answer: dict[str, Any], usage: dict[str, Any]
) -> None:
    take(store, exchange(path, body, {"status": 200, "body": {**answer, "usage": {**answer["usage"], **usage}}}))
    sample = only(store)
    assert (sample.prompt_tokens, sample.cached_tokens, sample.completion_tokens) == (300, 128, 20)


def test_what_a_coding_agent_asks_for_itself_is_no_decision_here_either(store: Store) -> None:
    tool = {"name": "Bash", "input_schema": {"type": "object"}}
    body = {"model": "claude", "messages": [{"role": "user", "content": "Write a function."}], "tools": [tool]}
    answer = {"status": 200, "body": {**MESSAGE, "content": [{"type": "text", "text": "```python\nx = 1\n```"}]}}
    row = exchange("/v1/messages", body, answer)
    row["request"]["headers"] = {"User-Agent": "claude-cli/2.1.332 (external, cli)"}
    assert take(store, {**row, "at": "2026-11-01T10:00:01Z"}).added == 1
    row["request"]["body"] = {**body, "max_tokens": 1}  # is the key good?
    assert take(store, row).added == 0


@pytest.mark.parametrize(
    ("body", "response", "why"),
    [
        (CHAT, {"status": 429, "body": {"error": {}}}, "no answer: the provider said no"),
        (CHAT, {"status": 200}, "no response"),
        (CHAT, {"status": 200, "sse": CHAT_SSE[:200]}, "answer was cut"),
        (CHAT, {"status": 200, "body": {**CHAT_ANSWER, "choices": []}}, "no response"),
        ({**CHAT, "messages": [*CHAT["messages"], {"role": "assistant", "content": "a"}, CHAT["messages"][1]]},
         {"status": 200, "body": CHAT_ANSWER}, "conversation of several turns"),
        ({"model": "text-embedding", "input": "hello"}, {"status": 200, "body": {"data": []}}, "not a model call"),
        ({"nothing": 1}, {"status": 200, "body": {"x": 1}}, "not a model call"),
    ],
    ids=["refused", "unanswered", "cut", "empty", "several turns", "embedding", "something else"],
)  # fmt: skip
def test_a_call_that_teaches_nothing_is_passed_over(
    store: Store, body: dict[str, Any], response: dict[str, Any], why: str
) -> None:
    path = "/v1/embeddings" if "input" in body else "/v1/chat/completions"
    assert dict(take(store, exchange(path, body, response)).skipped) == {why: 1}


# --- chat files ---


def chat(answer: str, prompt: str = PROMPT, system: str | None = None) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"messages": [*([{"role": "system", "content": system}] if system else []), *messages]}


TIMES = [
    (1795168800, "seconds"),
    (1795168800000, "milliseconds"),
    (1795168800000000, "microseconds"),
    (1795168800000000000, "nanoseconds"),
    ("1795168800", "seconds as text"),
    ("1795168800000", "milliseconds as text"),
    ("Fri, 20 Nov 2026 10:00:00 +0000", "RFC 2822"),
]
ANSWER = {"status": 200, "body": {"choices": [{"message": {"content": RESPOND}, "finish_reason": "stop"}]}}


@pytest.mark.parametrize("at", [at for at, _ in TIMES], ids=[what for _, what in TIMES])
def test_the_time_of_a_call_is_read_by_its_size(store: Store, at: object) -> None:
    take(store, {**exchange("/v1/chat/completions", CHAT, ANSWER), "at": at})
    assert only(store).created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    row = json.loads(ROWS.read_text(encoding="utf-8").splitlines()[0])
    take(store, {**row, "created_at": at})
    assert {sample.created_at for sample in Samples(store).iterate()} == {datetime(2026, 11, 20, 10, tzinfo=UTC)}


def test_a_time_that_cannot_be_read_is_never_now(store: Store) -> None:
    call = exchange("/v1/chat/completions", CHAT, ANSWER)
    row = json.loads(ROWS.read_text(encoding="utf-8").splitlines()[0])
    del row["created_at"], row["body"]["timestamp"]
    # What the answer says of its own time is better than nothing.
    dated = {**call, "at": "soon", "response": {"status": 200, "body": {**ANSWER["body"], "created": 1795168800}}}
    report = take(store, {**call, "at": "soon"}, {**row, "createdAt": "infinity"}, row, dated)
    assert dict(report.bad_by_why) == {
        "its time (`at`) is not a time that can be read": 1,
        "`created_at` is not a time that can be read": 1,
        "no `created_at`": 1,
    }
    assert only(store).created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_a_decision_without_a_time_is_counted_as_such(reasoning: Run, tmp_path: Path) -> None:
    call = exchange("/v1/chat/completions", CHAT, ANSWER)
    del call["at"]
    file = tmp_path / "calls.jsonl"
    file.write_text(json.dumps(call))
    done = reasoning("data", "import", file)
    assert "1 decision says no time: taken as of now" in done.stdout.splitlines()
    assert json.loads(reasoning("data", "import", file, "--again", "--json").stdout)["undated"] == 1


def test_chat_lines_are_labelled_samples(store: Store) -> None:
    assert take(store, chat(RESPOND, system="Be Nova.")).by_type == {"should_respond": 1}
    sample = only(store)
    assert (sample.label, sample.decision, sample.system, sample.origin) == ("good", "RESPOND", "Be Nova.", "chat-file")
    assert take(store, chat(RESPOND, system="Be Nova.")).already_there == 1


@pytest.mark.parametrize(("reward", "label"), [(0.7, "good"), (0.0, None), (0, None), (-0.5, "bad")])
def test_a_trajectory_is_labelled_by_its_reward(store: Store, reward: float, label: str | None) -> None:
    """As elizaos-plugin-trajectory-logger 2.0.0a5 exports them for ART."""
    said = [
        {"role": "system", "content": "You are Nova, an autonomous agent.", "name": None},
        {"role": "user", "content": PROMPT, "name": None},
        {"role": "assistant", "content": RESPOND, "name": None},
    ]
    take(store, {"messages": said, "reward": reward, "metadata": {"trajectoryId": "t"}, "metrics": {}})
    assert only(store).label == label


@pytest.mark.parametrize("reward", ["much", None, True])
def test_a_reward_that_is_no_number_is_a_bad_line(store: Store, reward: object) -> None:
    good = {"messages": [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPOND}]}
    report = take(store, good, {**good, "reward": reward})
    assert dict(report.bad_by_why) == {"a `reward` that is not a number": 1}


def test_groups_of_trajectories_are_refused_by_name(reasoning: Run, tmp_path: Path) -> None:
    trajectory = {"trajectory_id": "t", "steps": [], "total_reward": 1.0}
    group = {"group_id": "group-0", "scenario_id": "default", "trajectories": [trajectory], "created_at": 1}
    for name, content, said in (
        ("grpo.json", [group], "a group of trajectories (GRPO) of elizaOS's logger, which is not read"),
        ("raw.jsonl", trajectory, "a raw trajectory of elizaOS's logger, which is not read"),
    ):
        file = tmp_path / name
        file.write_text(json.dumps(content))
        done = reasoning("data", "import", file)
        assert done.exit_code == 1
        assert said in done.stderr


def test_an_answer_nobody_can_use_is_not_called_good(store: Store) -> None:
    take(store, chat("Sure, I'd respond."))
    assert (only(store).label, only(store).decision) == (None, None)


def test_the_type_is_recognised_or_said(store: Store) -> None:
    plain = chat(RESPOND, prompt="Sam: are you there, Nova?")
    assert dict(take(store, plain).skipped) == {"no decision: --model-type says what it is": 1}
    assert take(store, plain, model_type="should_respond").by_type == {"should_respond": 1}
    # A template is stronger than what was said; words that look like a wish for code are not.
    assert take(store, chat(IGNORE), model_type="planning").by_type == {"should_respond": 1}
    code = chat(RESPOND, prompt="Sam: fix the function, Nova")
    assert take(store, code, model_type="should_respond").by_type == {"should_respond": 1}


def test_a_preference_is_a_corrected_sample(store: Store) -> None:
    row = {
        "input": {"messages": [{"role": "user", "content": PROMPT}]},
        "preferred_output": [{"role": "assistant", "content": IGNORE}],
        "non_preferred_output": [{"role": "assistant", "content": RESPOND}],
    }
    take(store, row)
    sample = only(store)
    assert (sample.output, sample.decision, sample.label) == (RESPOND, "RESPOND", "corrected")
    assert sample.corrected is not None
    assert "IGNORE" in sample.corrected


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"messages": [{"role": "user", "content": "hello"}]}, "no answer"),
        ({"messages": [*chat(RESPOND)["messages"], *chat(RESPOND)["messages"]]}, "conversation of several turns"),
    ],
)
def test_a_chat_line_that_is_no_decision_is_passed_over(store: Store, row: dict[str, Any], why: str) -> None:
    assert dict(take(store, chat(RESPOND), row).skipped) == {why: 1}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"messages": "hello"}, "no list of messages"),
        ({"messages": [{"role": "bot", "content": "hello"}]}, "a message without a known role"),
        ({"messages": [{"role": "user", "content": 1}]}, "a message whose content is not text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "a message with a part that is not text",
        ),
        (chat(RESPOND, prompt=f"{PROMPT}\0"), "holds a NUL character"),
    ],
)
def test_a_chat_line_that_is_broken_is_a_bad_line(store: Store, row: dict[str, Any], why: str) -> None:
    assert dict(take(store, chat(RESPOND), row).bad_by_why) == {why: 1}


# --- our own export ---


@pytest.mark.parametrize("fmt", ["jsonl", "json"])
def test_an_export_comes_back_as_what_it_was(reasoning: Run, tmp_path: Path, fmt: str) -> None:
    assert reasoning("data", "import", ROWS).exit_code == 0
    out = tmp_path / f"out.{fmt}"
    assert reasoning("data", "export", "-f", fmt, "-o", out, "--no-redact").exit_code == 0
    back = json.loads(reasoning("data", "import", out, "--json").stdout)
    assert (back["added"], back["already_there"], back["bad"]) == (0, 9, 0)
    with open_store(tmp_path / "other.db") as other:
        assert sum(import_file(out, other).by_type.values()) == 9


def test_the_manifest_says_what_the_lines_do_not(tmp_path: Path) -> None:
    manifest = {"exported_at": "2026-11-20T10:00:00Z", "filters": {"model_types": ["planning"]}}
    (tmp_path / "out.jsonl.manifest.json").write_text(json.dumps(manifest))
    found = exported(tmp_path / "out.train.jsonl")
    assert found is not None
    assert (found.model_type, found.at) == ("planning", datetime(2026, 11, 20, 10, tzinfo=UTC))
    assert exported(tmp_path / "other.jsonl") is None
    (tmp_path / "out.jsonl.manifest.json").write_text("[1")
    assert exported(tmp_path / "out.jsonl") is None


def test_a_format_that_was_said_is_the_one_that_is_read(store: Store) -> None:
    assert take(store, chat(RESPOND), fmt="chat").added == 1
    both = take(store, chat(IGNORE), json.loads(ROWS.read_text().splitlines()[0]), fmt="elizaos")
    assert (both.added, both.bad) == (1, 1)
