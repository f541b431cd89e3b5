"""What the stand-in's models say: sensible, well-formed and the same every time, decided from the prompt alone."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import partial
from html import escape as escape_html

from reasoning_cli.sandbox.chat.prompts import kind_of

escape = partial(escape_html, quote=False)  # of the text of an element
_AGENT = re.compile(
    r"Decision for (.+?): (?:should_respond|planning)\n"
    r"|Decide on behalf of (.+?) whether|for the character ([^\n]+?)\.?(?:</task>|\n|$)"
)
_RECEIVED = re.compile(r"# Received Message\n(.*?)(?:\n+# Focus your response|\n</providers>|\Z)", re.DOTALL)
_ACTIONS = re.compile(r"Possible response actions:([^\n]*)")
WEAK_MODEL = "meta-llama/Llama-3.2-3B-Instruct"
_WEAK_LAPSE = 12  # one in so many of its answers has no form
_STOP = re.compile(r"\b(?:stop|be quiet|shut up|go away|leave me alone)\b", re.IGNORECASE)
_CODE = re.compile(
    r"```|\b(?:write|implement|code|fix|refactor)\b.{0,60}\b(?:function|code|script|program|class|method|query|bug)\b",
    re.IGNORECASE | re.DOTALL,
)

_TYPESCRIPT_WANTED = re.compile(r"\b(?:typescript|javascript|node)\b", re.IGNORECASE)
_TYPESCRIPT = """```typescript
export function first(items: number[], limit: number): number | undefined {
  return items.find((item) => item < limit);
}
```"""
_PYTHON = """```python
def first(items: list[int], limit: int) -> int | None:
    return next((item for item in items if item < limit), None)
```"""


def answer(prompt: str, model_name: str, results: Sequence[str] = ()) -> str:
    """The whole answer of `model_name` to the last user message; `results` are what tools it called have said."""
    if results:
        return f"The tools said: {_shortened(' | '.join(results))}"
    if model_name == WEAK_MODEL:
        return _weak(prompt)
    kind, asked = kind_of(prompt), prompt.rpartition("<output>")[0] or prompt
    if kind == "should_respond":
        return _should_respond(asked, thinks="shouldrespond" in model_name.lower())
    if kind == "planning":
        return _plan(asked)
    if "coding" in model_name.lower() or _CODE.search(prompt):
        return f"Here is a small, tested way to do it.\n\n{_code(prompt)}"
    return "This is the sandbox speaking: the model is reachable and answers."


def _weak(prompt: str) -> str:
    """Well-formed for the most part, and always the same decision: to speak."""
    kind, agent = kind_of(prompt), escape(_agent(prompt))
    if kind == "other":
        return "I would write a function for that. Which language should it be in?"
    if zlib.crc32(_received(prompt).encode()) % _WEAK_LAPSE == 0:
        return "Sure! Happy to help with that."
    if kind == "should_respond":
        return (
            "<response>\n"
            f"  <name>{agent}</name>\n"
            "  <reasoning>There is a new message.</reasoning>\n"
            "  <action>RESPOND</action>\n"
            "</response>"
        )
    return (
        "<response>\n"
        "  <thought>There is a new message.</thought>\n"
        "  <actions>REPLY</actions>\n"
        "  <providers></providers>\n"
        f"  <text>Hello, I am {agent}. How can I help you today?</text>\n"
        "</response>"
    )


def _should_respond(prompt: str, *, thinks: bool) -> str:
    agent, message = _agent(prompt), _received(prompt)
    decision, why = _decide(agent, message)
    block = (
        "<response>\n"
        f"    <name>{escape(agent)}</name>\n"
        f"    <reasoning>{escape(why)}</reasoning>\n"
        f"    <action>{decision}</action>\n"
        "</response>"
    )
    if not thinks:
        return block
    # The distilled model thinks aloud, and what it considers is not what it decides: a reader has to drop this part.
    other = "IGNORE" if decision != "IGNORE" else "RESPOND"
    thought = f"One could say <response><action>{other}</action></response>. {escape(why)}"
    return f"<think>\n{thought}\n</think>\n\n{block}"


def _decide(agent: str, message: str) -> tuple[str, str]:
    if "?" in message:
        return "RESPOND", "The message asks a question."
    if _STOP.search(message):
        return "STOP", "The sender wants the conversation to end."
    if re.search(rf"(?<!\w){re.escape(agent)}(?!\w)", message, re.IGNORECASE):
        return "RESPOND", f"The message is addressed to {agent}."
    return "IGNORE", "The message is not meant for the agent."


def _plan(prompt: str) -> str:
    agent, message = _agent(prompt), _received(prompt)
    decision, why = _decide(agent, message)
    listed = _ACTIONS.search(prompt)
    offered = [name.strip() for name in listed.group(1).split(",")] if listed else ["REPLY", "IGNORE"]
    action = "IGNORE" if decision == "STOP" or "REPLY" not in offered else "REPLY"
    if action == "IGNORE":
        text = ""
    elif _CODE.search(message):
        text = f"Here is one way:\n{_code(message)}"
    else:
        text = f'You said "{_shortened(message)}". I am {agent}, and I am here to help.'
    return (
        "<response>\n"
        f"    <thought>{escape(why)}</thought>\n"
        f"    <actions>{action}</actions>\n"
        "    <providers></providers>\n"
        f"    <text>{escape(text)}</text>\n"
        "</response>"
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"


def _code(request: str) -> str:
    """One fenced block in the language asked for."""
    return _TYPESCRIPT if _TYPESCRIPT_WANTED.search(request) else _PYTHON


def _agent(prompt: str) -> str:
    match = _AGENT.search(prompt)
    return next(name for name in match.groups() if name).strip() if match else "Agent"


def _received(prompt: str) -> str:
    """The message to react to, without its sender's name; the whole prompt when it is not marked."""
    match = _RECEIVED.search(prompt)
    if match is None:
        return prompt
    text = match.group(1).strip()
    sender, colon, rest = text.partition(": ")
    return rest if colon and "\n" not in sender else text
