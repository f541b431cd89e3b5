"""Who a file is for, and the form each takes a sample in, as TRL 1.16.0 and axolotl 0.19.0 read it.

- `together`: `messages` and `tools`; pairs as `input`, `preferred_output` and `non_preferred_output`.
- `openai`: the same, and `parallel_tool_calls` where there are tools, `true` as it is for calls that say nothing else.
  Arguments of calls are JSON text. https://developers.openai.com/api/docs/guides/supervised-fine-tuning,
  https://developers.openai.com/api/docs/guides/direct-preference-optimization
- `trl`: `messages`; pairs as `prompt`, `chosen` and `rejected`, lists of messages each. Arguments of calls are objects,
  results bear the name of their tool, and `tools` is JSON text, which trainers take as well as a list and which is one
  type in every line. https://huggingface.co/docs/trl/dataset_formats, https://github.com/huggingface/trl/pull/5118
- `axolotl`: `messages` for `type: chat_template`, arguments and `tools` as JSON text; pairs as `messages`, `chosen` and
  `rejected`, one message each, for `rl: dpo` with `type: chat_template.default`. That reads roles and texts alone, so
  pairs with tools are left out. https://docs.axolotl.ai/docs/dataset-formats/conversation.html,
  https://docs.axolotl.ai/docs/rlhf.html

TRL and axolotl load a file with `datasets`, which takes the columns of all lines from its first 10 MB: a call of a tool
that comes later would end the load. So in a file with calls every line has `tools`, and every answer a
`weight` of 1 (it is trained on; templates know no such key): of messages that differ in their keys `datasets` makes
JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from orjson import dumps

Trainer = Literal["together", "trl", "axolotl", "openai"]
TRAINERS: tuple[Trainer, ...] = ("together", "trl", "axolotl", "openai")
NAMES: Mapping[Trainer, str] = {"together": "Together", "trl": "TRL", "axolotl": "axolotl", "openai": "OpenAI"}

Json = dict[str, Any]
Messages = Sequence[Mapping[str, object]]

# What a line without tools says of them: TRL reads it as none, axolotl as a list without any.
_NO_TOOLS: Mapping[Trainer, str] = {"trl": "null", "axolotl": "[]"}
_WEIGHT = {"weight": 1}
_LOOKED_AT = 10 << 20  # bytes by which `datasets` judges the columns of a file


def needs_every_tools(trainer: Trainer, *, preference: bool) -> bool:
    """Whether all lines of a file with some tools say theirs, and the weight of their answers."""
    return trainer == "trl" or (trainer == "axolotl" and not preference)


def end_of_line(trainer: Trainer, every_tools: bool) -> bytes:
    """What follows the text of the answer in a line without tools that is not a pair."""
    return b',"weight":1}],"tools":%b}' % dumps(_NO_TOOLS[trainer]) if every_tools else b"}]}"


def how_to_load(trainer: Trainer, file: str, size_bytes: int, *, preference: bool) -> str:
    """How a trainer is given a file of that size, in one line; nothing for Together, whose files we send ourselves."""
    match trainer:
        case "trl":
            # Of pairs the messages before calls came have the same keys, so all are to be looked at.
            whole = f", chunksize={size_bytes}" if preference and size_bytes > _LOOKED_AT else ""
            name = "DPOTrainer" if preference else "SFTTrainer"
            return f'`load_dataset("json", data_files="{file}", split="train"{whole})` for `{name}`'
        case "axolotl" if preference:
            return f"`rl: dpo`, `path: {file}`, `ds_type: json`, `split: train`, `type: chat_template.default`"
        case "axolotl":
            return f"`path: {file}`, `ds_type: json`, `type: chat_template`"
        case "openai":
            method = "dpo" if preference else "supervised"
            return f"send {file} for `fine-tune` and train with the method `{method}`"
    return ""


def misfit(trainer: Trainer, messages: Messages, tools: Messages, *, preference: bool) -> str | None:
    """Why a conversation, its answers among the messages, cannot be written for a trainer; None where it can."""
    calls = [call for message in messages for call in _calls_of(message)]
    if trainer == "axolotl" and preference and (tools or calls):
        return "axolotl's dpo knows no tools"
    if trainer in _NO_TOOLS and any(_arguments(call) is None for call in calls):
        return "a call of a tool whose arguments are not a JSON object"
    return None


def record(
    trainer: Trainer,
    messages: Messages,
    answer: Mapping[str, object],
    rejected: Mapping[str, object] | None,
    tools: Messages,
    *,
    every_tools: bool = False,
) -> Json:
    """A sample as the object of its line: the answer to the messages, or a pair where one was rejected for it.

    With `every_tools` it says its tools even if there are none.
    """
    about_tools: Json = {}
    if trainer in _NO_TOOLS:
        if tools or every_tools:
            about_tools = {"tools": dumps(tools).decode() if tools else _NO_TOOLS[trainer]}
    elif tools:
        about_tools = {"tools": tools, **({"parallel_tool_calls": True} if trainer == "openai" else {})}
    if trainer == "trl":
        messages, answer = _for_templates(messages), _with_objects(answer)
        rejected = rejected and _with_objects(rejected)
    if rejected is None:
        return {"messages": [*messages, {**answer, **_WEIGHT} if every_tools else answer], **about_tools}
    if trainer == "trl":
        return {"prompt": messages, "chosen": [answer], "rejected": [rejected], **about_tools}
    if trainer == "axolotl":
        return {"messages": messages, "chosen": answer, "rejected": rejected}
    return {
        "input": {"messages": messages, **about_tools},
        "preferred_output": [answer],
        "non_preferred_output": [rejected],
    }


def _for_templates(messages: Messages) -> list[Json]:
    """Messages as chat templates are given them: arguments of calls as objects, results with the name of their tool."""
    names: dict[object, object] = {}
    made = []
    for message in messages:
        names.update((call.get("id"), call["function"]["name"]) for call in _calls_of(message))
        if message.get("role") == "tool" and message.get("tool_call_id") in names:
            made.append({**message, "name": names[message["tool_call_id"]]})
        else:
            made.append(_with_objects(message))
    return made


def _with_objects(message: Mapping[str, object]) -> Json:
    calls = _calls_of(message)
    if not calls:
        return dict(message)
    parsed = [{**call, "function": {**call["function"], "arguments": _arguments(call)}} for call in calls]
    return {**message, "tool_calls": parsed}


def _calls_of(message: Mapping[str, object]) -> list[Json]:
    calls = message.get("tool_calls")
    return calls if isinstance(calls, list) else []


def _arguments(call: Json) -> Json | None:
    """The arguments of a call; None where they are no JSON object."""
    try:
        found = json.loads(call["function"].get("arguments") or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
