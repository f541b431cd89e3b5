"""Real clients, unmodified: what they ask and what they get, directly and through the gateway.

    python -m benchmarks.agent_clients
    python -m benchmarks.agent_clients --only codex,opencode

Claude Code, Codex and opencode read a file because the model says so and tell what it holds; OpenAI's and Anthropic's
libraries for Python and Node, the AI SDK, LangChain, LiteLLM and pydantic-ai ask for code, whole and as a stream; the
AI SDK, OpenAI's Agents SDK, pydantic-ai and LangChain also read the file by a tool of theirs and talk on. Each runs
against a provider directly, and through the gateway with its slots closed, in shadow, live, and live until the model
has answered once. What came to the original and what the client said are compared with the direct run: everything the
client sends itself must arrive as it was, but what changes from run to run anyway (ids, times, folders), which two
direct runs tell. Each main request must be recorded as a coding decision, and what a program asks beside its work (a
title, a quota) must not. The original knows no item that it did not say, and takes no id of more than 64 characters.

Everything is installed from npm and PyPI when first needed (some 900 MB), at the versions in this file. Nothing is
asked of any vendor: proxies lead nowhere. Ends with 1 where a client was treated otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from reasoning_cli.values import Mode
from tests.gateway import canned
from tests.gateway.node import installed
from tests.gateway.provider import Answering, Handler, Provider, Received
from tests.gateway.pythons import python_with
from tests.gateway.serving import Served, served
from tests.waiting import until

Json = dict[str, Any]
SECRET = "The secret word is heliotrope."
TASK = "Read the file hello.txt and tell me what it says."
CODE = "Write a Python function that returns the first number below a limit."
FUNCTION = "```python\ndef first_below(numbers, limit):\n    return next(n for n in numbers if n < limit)\n```"
TITLE = "Reading a file"
# What the original calls the items it says.
OWN_IDS = ("msg_1", "fc_1", "ctc_1")
WAYS = ("closed", "shadow", "live", "leaving")

# ---- What the original and the slot's model say: both the same, so that a client's result must be, whoever answered.


def _says(system: str, last: str, tools: list[str], done: bool, folder: str) -> tuple[str, Json] | str:
    """A tool to call with its arguments, or words."""
    if "title" in system[:600].lower() and not tools:
        return TITLE
    if done:
        return f"The file says: {SECRET}"
    if "hello.txt" in last:
        path = f"{folder}/hello.txt"
        for name, arguments in (
            ("Read", {"file_path": path}),
            ("read", {"filePath": path}),
            # What Codex lets its models write: a program, in a tool that takes free text.
            ("exec", {"input": 'text(await tools.exec_command({cmd: "cat hello.txt"}));'}),
            ("exec_command", {"cmd": "cat hello.txt"}),
        ):
            if name in tools:
                return name, arguments
    return FUNCTION


def provider(folder: Path) -> Handler:
    """An original, or a slot's model: it reads the file once with whatever tool the agent has, in any dialect."""

    async def handler(request: Received, answering: Answering) -> None:
        path = request.target.partition("?")[0]
        kind = path.rpartition("/")[2]
        if request.method != "POST" or kind not in ("completions", "responses", "messages"):
            await answering.whole(404, {"error": {"message": "nothing is here", "type": "not_found"}})
            return
        body = request.json
        if refusal := _unknown(body):
            await answering.whole(400, {"error": {"message": refusal, "type": "invalid_request_error"}})
            return
        said = _says(*_READERS[kind](body), str(folder))
        whole, events = _WRITERS[kind]
        if body.get("stream"):
            await answering.events(events(said))
        else:
            await answering.whole(200, whole(said))

    return handler


def _unknown(body: Json) -> str | None:
    """What OpenAI says to an item that it does not know, or by an id that is none of its own."""
    given = body.get("input")
    for item in given if isinstance(given, list) else []:
        name = str(item.get("id") or "")
        if item.get("type") == "item_reference" and name not in OWN_IDS:
            return f"Item with id '{name[:64]}' not found."
        if len(name) > 64:
            return f"Invalid id: string too long, with length {len(name)}."
    return None


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if isinstance(part, dict))
    return str(content or "")


def _read_chat(body: Json) -> tuple[str, str, list[str], bool]:
    items = body["messages"]
    system = "\n".join(_text(item["content"]) for item in items if item["role"] in ("system", "developer"))
    last = "\n".join(_text(item.get("content")) for item in items if item["role"] == "user")
    tools = [tool["function"]["name"] for tool in body.get("tools") or ()]
    return system, last, tools, any(item["role"] == "tool" and SECRET in _text(item["content"]) for item in items)


def _read_responses(body: Json) -> tuple[str, str, list[str], bool]:
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    system = body.get("instructions") or "\n".join(
        _text(item.get("content")) for item in items if item.get("role") in ("system", "developer")
    )
    last = "\n".join(_text(item.get("content")) for item in items if item.get("role") == "user")
    tools = [*(body.get("tools") or ()), *(tool for item in items for tool in item.get("tools", ()))]
    names = [name["name"] for tool in tools for name in (tool.get("tools") or [tool]) if "name" in name]
    done = any(str(item.get("type")).endswith("_call_output") and SECRET in json.dumps(item) for item in items)
    return system, last, names, done


def _read_messages(body: Json) -> tuple[str, str, list[str], bool]:
    items = body["messages"]
    parts = [part for item in items if isinstance(item["content"], list) for part in item["content"]]
    done = any(part["type"] == "tool_result" and SECRET in json.dumps(part) for part in parts)
    last = "\n".join(_text(item["content"]) for item in items if item["role"] == "user")
    return _text(body.get("system")), last, [tool["name"] for tool in body.get("tools") or ()], done


_READERS: dict[str, Callable[[Json], tuple[str, str, list[str], bool]]] = {
    "completions": _read_chat,
    "responses": _read_responses,
    "messages": _read_messages,
}


def _chat_whole(said: tuple[str, Json] | str) -> Json:
    if isinstance(said, str):
        return canned.chat_answer(said)
    answer = canned.chat_answer("", finish="tool_calls")
    function = {"name": said[0], "arguments": json.dumps(said[1])}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    answer["choices"][0]["message"] = message
    return answer


def _chat_events(said: tuple[str, Json] | str) -> list[bytes]:
    if isinstance(said, str):
        return canned.chat_events(said)

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return canned.sse(
            {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [choice]}
        )

    function = {"name": said[0], "arguments": json.dumps(said[1])}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    return [
        chunk({"role": "assistant", "content": None, "tool_calls": [call]}),
        chunk({}, "tool_calls"),
        b"data: [DONE]\n\n",
    ]


def _responses_whole(said: tuple[str, Json] | str) -> Json:
    if isinstance(said, str):
        return {**canned.responses_answer(said), "incomplete_details": None}  # the AI SDK wants to be told so
    if said[0] == "exec":
        call = {"id": "ctc_1", "type": "custom_tool_call", "status": "completed", "call_id": "call_1"}
        return {**canned.responses_answer(""), "output": [{**call, "name": said[0], **said[1]}]}
    call = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1"}
    return {**canned.responses_answer(""), "output": [{**call, "name": said[0], "arguments": json.dumps(said[1])}]}


def _responses_events(said: tuple[str, Json] | str) -> list[bytes]:
    answer = _responses_whole(said)
    (item,) = answer["output"]
    numbers = iter(range(1000))

    def event(kind: str, **fields: object) -> bytes:
        return canned.sse({"type": kind, "sequence_number": next(numbers), **fields}, kind)

    empty: dict[str, Json] = {
        "message": {"content": []},
        "function_call": {"arguments": ""},
        "custom_tool_call": {"input": ""},
    }
    begun = {**item, "status": "in_progress", **empty[item["type"]]}
    inside = {"item_id": item["id"], "output_index": 0}
    if isinstance(said, str):
        part = {"type": "output_text", "text": "", "annotations": []}
        middle = [
            event("response.content_part.added", **inside, content_index=0, part=part),
            *(
                event("response.output_text.delta", **inside, content_index=0, logprobs=[], delta=piece)
                for piece in canned.pieces(said)
            ),
            event("response.output_text.done", **inside, content_index=0, logprobs=[], text=said),
            event("response.content_part.done", **inside, content_index=0, part={**part, "text": said}),
        ]
    elif item["type"] == "custom_tool_call":
        middle = [
            event("response.custom_tool_call_input.delta", **inside, delta=item["input"]),
            event("response.custom_tool_call_input.done", **inside, input=item["input"]),
        ]
    else:
        middle = [
            event("response.function_call_arguments.delta", **inside, delta=item["arguments"]),
            event("response.function_call_arguments.done", **inside, name=item["name"], arguments=item["arguments"]),
        ]
    return [
        event("response.created", response={**answer, "status": "in_progress", "output": [], "usage": None}),
        event("response.output_item.added", output_index=0, item=begun),
        *middle,
        event("response.output_item.done", output_index=0, item=item),
        event("response.completed", response=answer),
    ]


def _messages_whole(said: tuple[str, Json] | str) -> Json:
    if isinstance(said, str):
        return canned.messages_answer(said)
    call = {"type": "tool_use", "id": "toolu_1", "name": said[0], "input": said[1]}
    return {**canned.messages_answer(""), "content": [call], "stop_reason": "tool_use"}


def _messages_events(said: tuple[str, Json] | str) -> list[bytes]:
    if isinstance(said, str):
        return canned.messages_events(said)
    answer = _messages_whole(said)

    def event(kind: str, **fields: object) -> bytes:
        return canned.sse({"type": kind, **fields}, kind)

    block = {**answer["content"][0], "input": {}}
    partial = {"type": "input_json_delta", "partial_json": json.dumps(said[1])}
    return [
        event("message_start", message={**answer, "content": [], "stop_reason": None}),
        event("content_block_start", index=0, content_block=block),
        event("content_block_delta", index=0, delta=partial),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 20}),
        event("message_stop"),
    ]


_WRITERS: dict[str, tuple[Callable[..., Json], Callable[..., list[bytes]]]] = {
    "completions": (_chat_whole, _chat_events),
    "responses": (_responses_whole, _responses_events),
    "messages": (_messages_whole, _messages_events),
}

# ---- The clients.


@dataclass(frozen=True)
class Client:
    """A program of somebody else's. `run` takes the URL, the folder to work in and the program's home, which it may
    write into, and gives the command and its environment. `decisions` is how many main requests the program makes."""

    name: str
    run: Callable[[str, Path, Path], tuple[list[str], dict[str, str]]]
    decisions: int
    kind: str = "coding"
    # How many of them name what the original said instead of sending it: our model cannot be asked these.
    named: int = 0


def _npm(package: str, version: str) -> Path:
    return installed(package, version) / "node_modules"


def claude_code(url: str, work: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    program = _npm("@anthropic-ai/claude-code", "2.1.332") / "@anthropic-ai" / "claude-code-linux-x64" / "claude"
    command = [str(program), "-p", TASK, "--output-format", "json", "--allowedTools", "Read"]
    return command, {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "sk-ant-dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


def codex(url: str, work: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    settings = f'check_for_update_on_startup = false\nopenai_base_url = "{url}/v1"\n'
    (home / "config.toml").write_text(settings)
    program = _npm("@openai/codex", "0.171.0") / ".bin" / "codex"
    keys = {"CODEX_HOME": str(home), "OPENAI_API_KEY": "sk-dummy", "CODEX_API_KEY": "sk-dummy"}
    return [str(program), "exec", "--sandbox", "danger-full-access", TASK], keys


def opencode(provider_name: str, npm: str, model: str) -> Callable[[str, Path, Path], tuple[list[str], dict[str, str]]]:
    def run(url: str, work: Path, home: Path) -> tuple[list[str], dict[str, str]]:
        modules = _npm("opencode-ai", "1.18.33")
        program = next(path for path in modules.glob("opencode-linux-x64*/bin/opencode"))
        limits = {"limit": {"context": 200_000, "output": 8000}, "tool_call": True}
        options = {"baseURL": f"{url}/v1", "apiKey": "sk-dummy"}
        settings = {
            "provider": {provider_name: {"npm": npm, "options": options, "models": {model: limits}}},
            "autoupdate": False,
            "share": "disabled",
            "permission": "allow",
        }
        environment = {"OPENCODE_CONFIG_CONTENT": json.dumps(settings), "OPENCODE_DISABLE_AUTOUPDATE": "1"}
        return [str(program), "run", "-m", f"{provider_name}/{model}", TASK], environment

    return run


_PY_OPENAI = """
import os, openai
client = openai.OpenAI(base_url=os.environ["URL"] + "/v1", api_key="sk-dummy")
ask = [{"role": "user", "content": os.environ["CODE"]}]
print(client.chat.completions.create(model="gpt-x", messages=ask).choices[0].message.content)
stream = client.chat.completions.create(model="gpt-x", messages=ask, stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
print(client.responses.create(model="gpt-x", input=os.environ["CODE"]).output_text)
with client.responses.stream(model="gpt-x", input=os.environ["CODE"]) as stream:
    print(stream.get_final_response().output_text)
"""
_PY_ANTHROPIC = """
import os, anthropic
client = anthropic.Anthropic(base_url=os.environ["URL"], api_key="sk-dummy")
ask = dict(model="claude-x", max_tokens=500, messages=[{"role": "user", "content": os.environ["CODE"]}])
print(client.messages.create(**ask).content[0].text)
with client.messages.stream(**ask) as stream:
    print("".join(stream.text_stream))
"""
_PY_LANGCHAIN = """
import os
from langchain_openai import ChatOpenAI
from langchain_anthropic import ChatAnthropic
for model in (
    ChatOpenAI(model="gpt-x", base_url=os.environ["URL"] + "/v1", api_key="sk-dummy"),
    ChatAnthropic(model="claude-x", base_url=os.environ["URL"], api_key="sk-dummy"),
):
    print(model.invoke(os.environ["CODE"]).text)
    print("".join(chunk.text for chunk in model.stream(os.environ["CODE"])))
"""
_PY_LITELLM = """
import os, litellm
ask = [{"role": "user", "content": os.environ["CODE"]}]
for model, url in (("openai/gpt-x", os.environ["URL"] + "/v1"), ("anthropic/claude-x", os.environ["URL"])):
    more = dict(model=model, messages=ask, api_base=url, api_key="sk-dummy")
    print(litellm.completion(**more).choices[0].message.content)
    print("".join(chunk.choices[0].delta.content or "" for chunk in litellm.completion(**more, stream=True)))
"""
_PY_PYDANTIC = """
import os, asyncio
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
ours = OpenAIProvider(base_url=os.environ["URL"] + "/v1", api_key="sk-dummy")
theirs = AnthropicProvider(base_url=os.environ["URL"], api_key="sk-dummy")
async def main():
    for model in (
        OpenAIChatModel("gpt-x", provider=ours),
        OpenAIResponsesModel("gpt-x", provider=ours),
        AnthropicModel("claude-x", provider=theirs),
    ):
        agent = Agent(model)
        print((await agent.run(os.environ["CODE"])).output)
        async with agent.run_stream(os.environ["CODE"]) as result:
            print(await result.get_output())
asyncio.run(main())
"""
_JS_OPENAI = """
import OpenAI from 'openai';
const client = new OpenAI({ baseURL: process.env.URL + '/v1', apiKey: 'sk-dummy' });
const messages = [{ role: 'user', content: process.env.CODE }];
console.log((await client.chat.completions.create({ model: 'gpt-x', messages })).choices[0].message.content);
let text = '';
for await (const part of await client.chat.completions.create({ model: 'gpt-x', messages, stream: true }))
  text += part.choices[0]?.delta?.content ?? '';
console.log(text);
console.log((await client.responses.create({ model: 'gpt-x', input: process.env.CODE })).output_text);
"""
_JS_ANTHROPIC = """
import Anthropic from '@anthropic-ai/sdk';
const client = new Anthropic({ baseURL: process.env.URL, apiKey: 'sk-dummy' });
const ask = { model: 'claude-x', max_tokens: 500, messages: [{ role: 'user', content: process.env.CODE }] };
console.log((await client.messages.create(ask)).content[0].text);
console.log((await client.messages.stream(ask).finalMessage()).content[0].text);
"""
_JS_AI = """
import { generateText, streamText } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
const openai = createOpenAI({ baseURL: process.env.URL + '/v1', apiKey: 'sk-dummy', compatibility: 'strict' });
for (const model of [openai('gpt-x'), openai.responses('gpt-x')]) {
  console.log((await generateText({ model, prompt: process.env.CODE })).text);
  let text = '';
  for await (const part of streamText({ model, prompt: process.env.CODE }).textStream) text += part;
  console.log(text);
}
"""

_JS_AI_TOOLS = """
import { readFileSync } from 'node:fs';
import { generateText, isStepCount, streamText, tool } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { z } from 'zod';
const openai = createOpenAI({ baseURL: process.env.URL + '/v1', apiKey: 'sk-dummy' });
const Read = tool({
  description: 'Reads a file', inputSchema: z.object({ file_path: z.string() }),
  execute: async ({ file_path }) => readFileSync(file_path, 'utf8'),
});
const Bash = tool({ description: 'Runs a command', inputSchema: z.object({ command: z.string() }) });
const ask = { tools: { Read, Bash }, stopWhen: isStepCount(3), maxRetries: 0 };
for (const model of [openai('gpt-x'), openai.chat('gpt-x')]) {
  const messages = [{ role: 'user', content: process.env.TASK }];
  const first = await generateText({ model, messages, ...ask });
  console.log(first.text);
  messages.push(...first.responseMessages, { role: 'user', content: process.env.CODE });
  let text = '';
  for await (const part of streamText({ model, messages, ...ask }).textStream) text += part;
  console.log(text);
}
"""
_PY_TOOLS = """
import os, asyncio
def Read(file_path: str) -> str:
    "Reads a file"
    return open(file_path).read()
def Bash(command: str) -> str:
    "Runs a command"
    raise NotImplementedError
task, code = os.environ["TASK"], os.environ["CODE"]
"""
_PY_AGENTS = f"""{_PY_TOOLS}
from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
set_tracing_disabled(True)
client = AsyncOpenAI(base_url=os.environ["URL"] + "/v1", api_key="sk-dummy", max_retries=0)
async def main():
    for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
        agent = Agent(name="a", model=kind("gpt-x", client), tools=[function_tool(Read), function_tool(Bash)])
        first = await Runner.run(agent, task)
        print(first.final_output)
        last = Runner.run_streamed(agent, [*first.to_input_list(), {{"role": "user", "content": code}}])
        async for _ in last.stream_events():
            pass
        print(last.final_output)
asyncio.run(main())
"""
_PY_PYDANTIC_TOOLS = f"""{_PY_TOOLS}
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
model = OpenAIResponsesModel("gpt-x", provider=OpenAIProvider(base_url=os.environ["URL"] + "/v1", api_key="sk-dummy"))
async def main():
    agent = Agent(model, tools=[Read, Bash])
    first = await agent.run(task)
    print(first.output)
    print((await agent.run(code, message_history=first.all_messages())).output)
asyncio.run(main())
"""
_PY_LANGCHAIN_TOOLS = f"""{_PY_TOOLS}
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
model = ChatOpenAI(model="gpt-x", base_url=os.environ["URL"] + "/v1", api_key="sk-dummy", use_responses_api=True)
talk, tooled = [], model.bind_tools([Read, Bash])
for text in (task, code):
    talk.append(HumanMessage(text))
    talk.append(tooled.invoke(talk))
    while talk[-1].tool_calls:
        talk += [ToolMessage(Read(**call["args"]), tool_call_id=call["id"]) for call in talk[-1].tool_calls]
        talk.append(tooled.invoke(talk))
    print(talk[-1].text)
"""


def python(script: str, *packages: str) -> Callable[[str, Path, Path], tuple[list[str], dict[str, str]]]:
    def run(url: str, work: Path, home: Path) -> tuple[list[str], dict[str, str]]:
        return [str(python_with(*packages)), "-c", script], {"URL": url, "CODE": CODE, "TASK": TASK}

    return run


def node(
    script: str, package: str, version: str, *more: str
) -> Callable[[str, Path, Path], tuple[list[str], dict[str, str]]]:
    def run(url: str, work: Path, home: Path) -> tuple[list[str], dict[str, str]]:
        folder = installed(package, version, *more)
        (folder / "script.mjs").write_text(script)
        return ["node", str(folder / "script.mjs")], {"URL": url, "CODE": CODE, "TASK": TASK}

    return run


CLIENTS = (
    Client("Claude Code 2.1.332", claude_code, 2),
    Client("Codex 0.171.0", codex, 2),
    Client("opencode 1.18.33, chat", opencode("here", "@ai-sdk/openai-compatible", "m"), 2),
    Client("opencode 1.18.33, responses", opencode("openai", "@ai-sdk/openai", "gpt-5"), 2),
    Client("opencode 1.18.33, messages", opencode("anthropic", "@ai-sdk/anthropic", "claude-sonnet-4-5"), 2),
    Client("openai 3.57.0 (Python)", python(_PY_OPENAI, "openai==3.57.0"), 4),
    Client("anthropic 2.14.0 (Python)", python(_PY_ANTHROPIC, "anthropic==2.14.0"), 2),
    Client("LangChain 1.7", python(_PY_LANGCHAIN, "langchain-openai==1.7.4", "langchain-anthropic==1.7.10"), 4),
    Client("LiteLLM 1.110.2", python(_PY_LITELLM, "litellm==1.110.2"), 4),
    Client("pydantic-ai 2.68.0", python(_PY_PYDANTIC, "pydantic-ai-slim[openai,anthropic]==2.68.0"), 6),
    Client("openai 7.59.0 (Node)", node(_JS_OPENAI, "openai", "7.59.0"), 3),
    Client("@anthropic-ai/sdk 1.14.0 (Node)", node(_JS_ANTHROPIC, "@anthropic-ai/sdk", "1.14.0"), 2),
    Client("AI SDK 4", node(_JS_AI, "ai", "4.3.19", "@ai-sdk/openai@1.3.24"), 4),
    Client("AI SDK 7, a talk", node(_JS_AI_TOOLS, "ai", "7.0.173", "@ai-sdk/openai@4.0.118", "zod@4.6.7"), 6, named=1),
    Client("OpenAI Agents 0.24.0, a talk", python(_PY_AGENTS, "openai-agents==0.24.0"), 6),
    Client("pydantic-ai 2.68.0, a talk", python(_PY_PYDANTIC_TOOLS, "pydantic-ai-slim[openai,anthropic]==2.68.0"), 3),
    Client("LangChain 1.7, a talk", python(_PY_LANGCHAIN_TOOLS, "langchain-openai==1.7.4"), 3),
)

# ---- Each of them, each way.

# What changes from run to run anyway: ids, keys of caches, times, sizes that follow from them.
_CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?:ses|msg|prt|user|session|account|toolu|call)_[0-9A-Za-z_-]{8,}"
    r"|[0-9a-f]{12,}|[0-9]{10,}|20[0-9]{2}-[01][0-9]-[0-3][0-9](?:T[0-9:.]+Z?)?|[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]* [A-Z][a-z]+ [0-9]{2} 20[0-9]{2}"
)
# Each hop has its own of these; the last is how gateways that call each other find out.
_OF_THE_HOP = {"host", "connection", "content-length", "transfer-encoding", "keep-alive", "x-reasoning-hop"}
_PATIENCE_SECONDS = 180


@dataclass
class Seen:
    """One run: what the client said, what it asked of the original, and what the gateway recorded."""

    said: str
    asked: list[str]
    model_calls: int = 0
    recorded: list[tuple[str, str]] = field(default_factory=list)


def _masked(request: Received) -> str:
    headers = sorted((key.lower(), value) for key, value in request.headers if key.lower() not in _OF_THE_HOP)
    body = json.dumps(json.loads(request.body), sort_keys=True) if request.body[:1] in b"{[" else request.body.hex()
    return _CHANGING.sub("*", f"{request.method} {request.target} {headers} {body}")


def _run(client: Client, url: str, folder: Path) -> str:
    """The client in an empty project and a home of its own, always in the same place; what it says."""
    work, home = folder / "project", folder / "home"
    subprocess.run(["rm", "-rf", str(work), str(home)], check=True)
    work.mkdir()
    home.mkdir()
    subprocess.run(["git", "init", "--quiet", str(work)], check=True)
    (work / "hello.txt").write_text(SECRET + "\n")
    command, environment = client.run(url, work, home)
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        command,
        cwd=work,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **nowhere, **environment},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{client.name} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}")
    if client.run is claude_code:
        return str(json.loads(done.stdout)["result"])
    return done.stdout.strip()


def directly(client: Client, folder: Path) -> Seen:
    with closing(Provider(provider(folder / "project"))) as original:
        said = _run(client, original.url, folder)
        return Seen(said, [_masked(request) for request in original.received if request.method == "POST"])


def through(client: Client, way: str, folder: Path) -> Seen:
    with tempfile.TemporaryDirectory() as log, served(Path(log), slots=way != "closed", tools=True) as gateway:
        if way == "shadow":
            _change_all(gateway, mode=Mode.SHADOW)
        gateway.original.handler = gateway.model.handler = provider(folder / "project")
        if way == "leaving":
            gateway.model.handler = _once(gateway, gateway.model.handler)
        said = _run(client, gateway.url, folder)
        until(lambda: gateway.gateway.figures.in_flight == 0, "the end of all calls")
        with contextlib.suppress(AssertionError):  # what is missing is told below
            gateway.samples(client.decisions)
        samples = gateway.samples(0)
        asked = [_masked(request) for request in gateway.original.received if request.method == "POST"]
        recorded = [(sample.model_type, sample.source) for sample in samples]
        return Seen(said, asked, len(gateway.model.received), recorded)


def _once(gateway: Served, handler: Handler) -> Handler:
    """A model that is stopped when it has answered once."""

    async def answer(request: Received, answering: Answering) -> None:
        _change_all(gateway, closed="stopped")
        await handler(request, answering)

    return answer


def _change_all(gateway: Served, **changes: Any) -> None:
    for model_type in list(gateway.gateway.book.view.slots):
        gateway.change(model_type, **changes)


def differences(client: Client, way: str, direct: list[Seen], seen: Seen) -> list[str]:
    """Where the client was treated otherwise than directly."""
    found = []
    if seen.said != direct[0].said:
        found.append(f"it said {seen.said[-300:]!r}, directly {direct[0].said[-300:]!r}")
    by_slot = {"live": client.decisions, "leaving": 1}.get(way, 0)
    sources = ["slot"] * by_slot + ["original"] * (client.decisions - by_slot)
    if seen.recorded != [(client.kind, source) for source in sources]:
        found.append(f"recorded were {seen.recorded}, and not {by_slot} of {client.decisions} by the slot")
    expected = client.decisions - client.named if way == "shadow" else by_slot
    if seen.model_calls != expected:
        found.append(f"the slot's model was asked {seen.model_calls} times, and not {expected}")
    steady = [request for request in direct[0].asked if request in direct[1].asked]
    aside = len(direct[0].asked) - client.decisions
    if by_slot:
        left = client.decisions - by_slot + aside
        if len(seen.asked) != left:
            found.append(f"the original was asked {len(seen.asked)} times, and not {left}")
        steady = []
    elif len(seen.asked) not in {len(seen.asked) for seen in direct}:
        found.append(f"the original was asked {len(seen.asked)} times, directly {len(direct[0].asked)}")
    for request in steady:
        if request not in seen.asked:
            found.append(f"this did not come as it was sent: {_nearest(request, seen.asked)}")
    return found


def _nearest(request: str, others: list[str]) -> str:
    """Where it begins to differ from the request that agrees with it longest."""

    def length(other: str) -> int:
        return next((at for at, (ours, theirs) in enumerate(zip(request, other, strict=False)) if ours != theirs), 0)

    best = max(others, key=length, default="")
    start = max(0, length(best) - 60)
    return f"{request[start : start + 160]!r} came as {best[start : start + 160]!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="how names of clients begin, with commas between")
    chosen = tuple(name.strip().lower() for name in parser.parse_args().only.split(",") if name.strip())
    console = Console()
    table = Table("client", "asks", "of them aside", *WAYS, title="Through the gateway as directly")
    bad = 0
    for client in CLIENTS:
        if chosen and not client.name.lower().startswith(chosen):
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            direct = [directly(client, folder), directly(client, folder)]
            cells = []
            for way in WAYS:
                found = differences(client, way, direct, through(client, way, folder))
                bad += bool(found)
                cells.append("differs" if found else "same")
                for line in found:
                    console.print(f"{client.name}, {way}: {line}", markup=False, highlight=False)
        asks = len(direct[0].asked)
        table.add_row(client.name, str(asks), str(asks - client.decisions), *cells)
        console.print(f"{client.name}: {', '.join(cells)}", highlight=False)
    console.print(table)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
