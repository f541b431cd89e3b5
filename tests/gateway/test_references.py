"""A client that names what was said before, instead of sending it, goes on with the original after our model's turn."""

from __future__ import annotations

import json
import subprocess
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from reasoning_cli.gateway.dialects import references
from reasoning_cli.gateway.dialects.references import restored, with_id
from tests.gateway import canned
from tests.gateway.node import installed
from tests.gateway.official import CODE, responses_tools
from tests.gateway.prompts import PATHS
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served, served

Json = dict[str, Any]
URL = PATHS["responses"]
AGENT = {"user-agent": "ai-sdk/provider-utils/5.0.81 runtime/node.js/22"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ünï — done"}]}
THEIRS = "msg_1"  # what the original calls what it said
CALLED = {"type": "function_call", "call_id": "call_1", "name": "Read", "arguments": '{"file_path":"a.py"}'}


async def as_openai(request: Received, answering: Answering) -> None:
    """An original that knows none of the items but its own, and takes no id of more than 64 characters."""
    for place, item in enumerate(request.json["input"] if isinstance(request.json["input"], list) else []):
        id_ = item.get("id", "")
        if item.get("type") == "item_reference" and id_ != THEIRS:
            await answering.whole(404, {"error": {"message": f"Item with id '{id_[:99]}' not found."}})
            return
        if len(id_) > 64:
            await answering.whole(400, {"error": {"message": f"Invalid 'input[{place}].id': string too long."}})
            return
    await canned.original(request, answering)


def calling(call: Json | None = None) -> Callable[[Received, Answering], Any]:
    """A model that calls a function once, and says what it found when it has the result."""

    async def handler(request: Received, answering: Answering) -> None:
        made = canned.chat_answer("I look.", finish="tool_calls")
        if call is not None and not any(each["role"] == "tool" for each in request.json["messages"]):
            function = {"name": call["name"], "arguments": call["arguments"]}
            made["choices"][0]["message"]["tool_calls"] = [
                {"id": call["call_id"], "type": "function", "function": function}
            ]
        else:
            made = canned.chat_answer("It reads well.")
        await answering.whole(200, made)

    return handler


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, tools=True) as made:
        made.original.handler = as_openai
        made.model.handler = calling(CALLED)
        yield made


def asked(*after: Json, **more: Any) -> Json:
    items = [{"role": "user", "content": [{"type": "input_text", "text": CODE}]}, *after]
    return {"model": "gpt-4o", "input": items, "tools": responses_tools(), **more}


def named(output: list[Json]) -> list[Json]:
    return [{"type": "item_reference", "id": item["id"]} for item in output]


def without_ids(output: list[Json]) -> list[Json]:
    return [{name: value for name, value in item.items() if name != "id"} for item in output]


def result(output: list[Json]) -> Json:
    return {"type": "function_call_output", "call_id": output[1]["call_id"], "output": "def add(): ..."}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "zstd"])
def test_what_our_model_said_is_put_where_a_request_names_it(gateway: Served, stream: bool, packed: bool) -> None:
    first = gateway.client.post(URL, json=asked(stream=stream), headers=AGENT)
    assert first.headers["x-reasoning-source"] == "slot"
    if stream:
        (end,) = (line for line in first.text.splitlines() if line.startswith('data: {"type":"response.completed"'))
        output = json.loads(end.removeprefix("data: "))["response"]["output"]
    else:
        output = first.json()["output"]
    assert [item["type"] for item in output] == ["message", "function_call"]
    gateway.change("coding", closed="stopped")
    body = asked(*named(output), result(output), stream=stream)
    headers, content = AGENT, json.dumps(body).encode()
    if packed:
        headers, content = {**AGENT, "content-encoding": "zstd"}, zstandard.compress(content)
    second = gateway.client.post(URL, content=content, headers={**headers, "content-type": "application/json"})
    assert second.status_code == 200, second.text
    assert "x-reasoning-source" not in second.headers or second.headers["x-reasoning-source"] != "slot"
    (received,) = gateway.original.received
    assert received.header("content-encoding") is None
    assert received.json == {**body, "input": [body["input"][0], *without_ids(output), result(output)]}


def test_our_model_goes_on_after_its_own_turn_and_not_after_one_it_cannot_read(gateway: Served) -> None:
    output = gateway.client.post(URL, json=asked(), headers=AGENT).json()["output"]
    answer = gateway.client.post(URL, json=asked(*named(output), result(output)), headers=AGENT)
    assert answer.headers["x-reasoning-source"] == "slot"
    roles = [message["role"] for message in gateway.model.received[-1].json["messages"]]
    assert roles == ["user", "assistant", "tool"]
    theirs = {"type": "item_reference", "id": THEIRS}
    answer = gateway.client.post(URL, json=asked(theirs, *named(output), result(output)), headers=AGENT)
    assert answer.status_code == 200
    assert gateway.original.received[-1].json["input"][1:] == [theirs, *without_ids(output), result(output)]


def test_what_sends_all_of_it_is_rid_of_ids_no_provider_takes(gateway: Served) -> None:
    output = gateway.client.post(URL, json=asked(), headers=AGENT).json()["output"]
    gateway.change("coding", closed="stopped")
    assert gateway.client.post(URL, json=asked(*output, result(output)), headers=AGENT).status_code == 200
    assert gateway.original.received[-1].json["input"][1:] == [*without_ids(output), result(output)]


def test_where_nothing_is_kept_an_id_is_short_and_a_request_passes_as_it_came(gateway: Served) -> None:
    output = gateway.client.post(URL, json=asked(store=False), headers=AGENT).json()["output"]
    assert all(len(item["id"]) <= 64 for item in output)
    gateway.change("coding", closed="stopped")
    content = json.dumps(asked(*output, result(output), store=False), indent=3).encode()
    gateway.client.post(URL, content=content, headers={**AGENT, "content-type": "application/json"})
    assert gateway.original.received[-1].body == content


def test_two_answers_that_say_the_same_have_two_ids() -> None:
    one, two = (with_id(SAID, "msg_", may_be_named=True)["id"] for _ in range(2))
    assert one != two
    assert restored({"input": named([{"id": one}, {"id": two}])}) == {"input": [SAID, SAID]}


def id_holding(text: bytes) -> str:
    return f"msg_own_{'0' * 32}_{urlsafe_b64encode(zlib.compress(text)).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "id_",
    [
        "msg_own_",
        "msg_own_no base64 at all",
        with_id(SAID, "msg_", may_be_named=True)["id"][:-8],
        id_holding(b"no JSON"),
        id_holding(b'{"type":"input_file"}'),
        id_holding(b'["message"]'),
        "../_own_" + id_holding(b"{}"),
    ],
)
def test_what_holds_no_item_of_ours_is_for_the_provider_to_judge(id_: str) -> None:
    assert restored({"input": [{"type": "item_reference", "id": id_}]}) is None


def test_what_is_packed_in_ids_is_unpacked_up_to_a_limit_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    item = json.dumps({**SAID, "content": "x" * 1000}).encode()
    monkeypatch.setattr(references, "LONGEST_RESTORED_BYTES", 2 * len(item) + 10)
    body = restored({"input": [{"type": "item_reference", "id": id_holding(item)} for _ in range(3)]})
    assert body is not None
    assert [each["type"] for each in body["input"]] == ["message", "message", "item_reference"]


NOT_OURS = b'{"type":"input_file","content":"' + b"x" * 1000 + b'"}'


@pytest.mark.parametrize("made_up", [NOT_OURS, NOT_OURS[:-1], b'{"x":"' + b"y" * 20_000 + b'"}'])
def test_what_holds_no_item_is_unpacked_up_to_that_limit_too(monkeypatch: pytest.MonkeyPatch, made_up: bytes) -> None:
    """Of one that is never ours each id would else cost as much as all may: a short request, hours of all calls."""
    monkeypatch.setattr(references, "LONGEST_RESTORED_BYTES", 2 * len(NOT_OURS) + 500)
    items = [*[made_up] * 3, json.dumps({**SAID, "content": "x" * 600}).encode()]
    assert restored({"input": [{"type": "item_reference", "id": id_holding(text)} for text in items]}) is None


def test_of_very_many_ids_the_first_are_read() -> None:
    items = [{"type": "item_reference", "id": id_holding(json.dumps(SAID).encode())}] * 20_000
    body = restored({"input": items})
    assert body is not None
    assert [each["type"] for each in body["input"]].count("message") == 8 * 1024


def test_no_more_objects_are_made_of_all_ids_than_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    item = {**SAID, "content": [[] for _ in range(40)]}
    monkeypatch.setattr(references, "MOST_OBJECTS", 100)
    body = restored({"input": [{"type": "item_reference", "id": id_holding(json.dumps(item).encode())}] * 3})
    assert body is not None
    assert [each["type"] for each in body["input"]] == ["message", "message", "item_reference"]


SCRIPT = r"""
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const [, , modules, origin, prompt] = process.argv;
const require = createRequire(pathToFileURL(modules + '/'));
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { generateText, isStepCount, stepCountIs, tool } = await load('ai');
const { createOpenAI } = await load('@ai-sdk/openai');
const { z } = await load('zod');
const openai = createOpenAI({ baseURL: origin + '/v1', apiKey: 'sk-mine' });
const Read = tool({
  description: 'Reads a file', inputSchema: z.object({ file_path: z.string() }),
  execute: async () => { await fetch(origin + '/after-the-call'); return 'def add(): ...'; },
});
const Bash = tool({ description: 'Runs a command', inputSchema: z.object({ command: z.string() }) });
const tools = { Read, Bash };
const stopWhen = (isStepCount ?? stepCountIs)(3);
const messages = [{ role: 'user', content: prompt }];
const first = await generateText({ model: openai('gpt-4o'), messages, tools, stopWhen, maxRetries: 0 });
messages.push(...first.responseMessages, { role: 'user', content: 'Write a function that checks it.' });
const last = await generateText({ model: openai('gpt-4o'), messages, tools, stopWhen, maxRetries: 0 });
console.log(JSON.stringify([first.text, last.text]));
"""


@pytest.mark.parametrize("leaves", ["never", "after the call"])
def test_the_ai_sdk_names_what_was_said_and_goes_on(gateway: Served, tmp_path: Path, leaves: str) -> None:
    """With its defaults it sends a mere name for each item of an answer. The slot closes in the middle of a loop."""
    folder = installed("ai", "7.0.173", "@ai-sdk/openai@4.0.118", "zod@4.6.7")

    async def handler(request: Received, answering: Answering) -> None:
        if request.target.endswith("/after-the-call"):
            if leaves != "never":
                gateway.change("coding", closed="stopped")
            await answering.whole(200, {})
        else:
            await as_openai(request, answering)

    gateway.original.handler = handler
    script = tmp_path / "agent.mjs"
    script.write_text(SCRIPT)
    command = ["node", str(script), str(folder), gateway.url, CODE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    original = canned.ORIGINAL_SAYS["coding"]
    assert json.loads(done.stdout) == (["It reads well."] * 2 if leaves == "never" else [original] * 2)
