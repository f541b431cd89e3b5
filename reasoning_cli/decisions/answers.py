"""Answers of models to the three decisions: parse them as ElizaOS does, check them, write them in one form.

ElizaOS reads from the first `<response>` to the first `</response>` after it, the direct children becoming keys. Two
consequences shape this module: a draft inside a model's thinking would win, so thinking goes first; and a value that
holds markup would cut the answer, so every value is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from reasoning_cli.decisions.prompts import available_actions, available_providers

ACTIONS = ("RESPOND", "IGNORE", "STOP")
# What models and providers call an end that the model came to by itself. Any other end, and none, is a cut answer.
NATURAL_ENDS = frozenset(
    {"stop", "eos", "tool_calls", "function_call", "end_turn", "tool_use", "stop_sequence", "completed"}
)
_LONGEST_END = 60  # of what an unknown end is called
# No answer of use is longer; what is, is a model gone round in circles.
MAX_CHARS = 1_000_000


@dataclass(frozen=True)
class ShouldRespondAnswer:
    """Whether the agent speaks: `action` is RESPOND, IGNORE or STOP."""

    name: str
    reasoning: str
    action: str


@dataclass(frozen=True)
class PlanningAnswer:
    """What the agent does and says. `params` is the raw content of an action's parameters (ElizaOS 2.0), or empty."""

    thought: str
    actions: tuple[str, ...]
    providers: tuple[str, ...]
    text: str
    params: str = ""


@dataclass(frozen=True)
class CodingAnswer:
    """`text` is the whole answer; `code` its first fenced block, `explanation` what stands before that block."""

    text: str
    explanation: str
    code: str
    language: str


@dataclass(frozen=True)
class InvalidAnswer:
    """An answer the agent could not use, and why (one of few fixed phrases, fit for counting)."""

    reason: str


Answer = ShouldRespondAnswer | PlanningAnswer | CodingAnswer

_THINK_OPEN = re.compile(r"^[ \t]*<(think|thinking)>", re.MULTILINE)
# A closing tag without an opening one: chat templates of R1 models put the opening one into the prompt.
_THINK_ORPHAN = re.compile(r"</think(?:ing)?>(?=\s*(?:\n|\Z|<response>|```))")
_ANSWER_START = re.compile(r"<response>|^[ \t]*```", re.MULTILINE)
_RESPONSE, _RESPONSE_END = "<response>", "</response>"
_TAG = re.compile(r"<([A-Za-z_][\w.-]*)(?:\s[^<>]*)?>")
_CLOSING_TAG = re.compile(r"</([A-Za-z_][\w.-]*)>")
_FENCE = re.compile(r"^([ \t]*)(```|~~~)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*\2[ \t]*$", re.DOTALL | re.MULTILINE)
_ENTITY = re.compile(r"&(lt|gt|amp|quot|apos);")
_CHARACTERS = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


def is_natural_end(reason: object) -> bool:
    """Whether an answer that ends so is whole."""
    return isinstance(reason, str) and reason in NATURAL_ENDS


def cut_of(reason: object) -> str:
    """What a cut answer's end is called, in few words."""
    return reason[:_LONGEST_END] if isinstance(reason, str) and reason else "no end"


def read_answer(model_type: str, prompt: str, output: str) -> Answer | InvalidAnswer:
    """Read the raw answer to a prompt: a plan may only name the actions and providers that prompt offers."""
    if model_type != "planning":
        return parse_answer(model_type, output)
    return parse_answer(
        model_type,
        output,
        known_actions=available_actions(prompt),
        known_providers=available_providers(prompt),
    )


def parse_answer(
    model_type: str,
    text: str,
    *,
    known_actions: Collection[str] = (),
    known_providers: Collection[str] = (),
) -> Answer | InvalidAnswer:
    """Read a model's raw answer to a decision of `model_type` and check that the agent can act on it.

    With `known_actions` and `known_providers` (as the prompt offers them) a plan may name no others.
    """
    if len(text) > MAX_CHARS:
        return InvalidAnswer("too long")
    bare = strip_thinking(text)
    if not bare.strip():
        return InvalidAnswer("nothing but thinking" if text.strip() else "empty")
    if model_type == "coding":
        return _coding(bare)
    values = parse_response(bare)
    if values is None:
        return InvalidAnswer("no XML answer")
    return _should_respond(values) if model_type == "should_respond" else _plan(values, known_actions, known_providers)


def strip_thinking(text: str) -> str:
    """The answer without what a reasoning model thought aloud before it; an unclosed thought takes all that follows."""
    while "think" in text:
        opening = _THINK_OPEN.search(text)
        if opening is not None and _ANSWER_START.search(text, 0, opening.start()) is None:
            closing = f"</{opening[1]}>"
            end = text.find(closing, opening.end())
            text = text[: opening.start()] + (text[end + len(closing) :] if end >= 0 else "")
            continue
        orphan = _THINK_ORPHAN.search(text)
        if orphan is None or "<think" in text[: orphan.start()]:
            break
        text = text[orphan.end() :]
    return text.strip()


def parse_response(text: str) -> dict[str, str] | None:
    """The direct children of the answer's XML as ElizaOS reads them, unescaped and trimmed; None without any."""
    start = text.find(_RESPONSE) + len(_RESPONSE)
    end = text.find(_RESPONSE_END, start) if start >= len(_RESPONSE) else -1
    inner = text[start:end] if end >= 0 else next((content for _, content in _children(text)), "")
    # Parameters are markup or JSON of their own, handed on as they are.
    values = {name: value.strip() if name == "params" else unescape(value).strip() for name, value in _children(inner)}
    return values or None


def render_answer(answer: Answer, codes: Mapping[str, str] | None = None) -> str:
    """The one way an answer is written, for training and for the agent alike.

    Thought and actions come before the text, since a streaming runtime decides on them whether to show it. `codes`
    are the marks an ElizaOS 2.0 runtime wants back.
    """
    match answer:
        case CodingAnswer():
            return answer.text
        case ShouldRespondAnswer():
            children = [
                ("name", escape(answer.name)),
                ("reasoning", escape(answer.reasoning)),
                ("action", answer.action),
            ]
        case PlanningAnswer():
            children = [
                ("thought", escape(answer.thought)),
                ("actions", escape(",".join(answer.actions))),
                ("providers", escape(",".join(answer.providers))),
                *([("params", answer.params)] if answer.params else []),
                ("text", escape(answer.text)),
            ]
    around = {tag: escape(code) for tag, code in (codes or {}).items()}
    if around:
        fields = [
            (name, value)
            for child in children
            for name, value in (
                *_around(around, f"code_{child[0]}_start"),
                child,
                *_around(around, f"code_{child[0]}_end"),
            )
        ]
        children = [*around.items(), *fields]  # those of the whole answer stand before it
    lines = "".join(f"  <{name}>{value}</{name}>\n" for name, value in children)
    return f"<response>\n{lines}</response>"


def _around(codes: dict[str, str], tag: str) -> list[tuple[str, str]]:
    """A field's mark, taken out of those there are."""
    return [(tag, codes.pop(tag))] if tag in codes else []


def decision_of(answer: Answer) -> str:
    """The few words statistics count by: the action, the actions, or the language of the code."""
    match answer:
        case ShouldRespondAnswer():
            return answer.action
        case PlanningAnswer():
            return ",".join(answer.actions)
        case CodingAnswer():
            return answer.language or ("code" if answer.code else "prose")


def escape(value: str) -> str:
    """A value that no reader of XML, however simple, takes for markup.

    Quotes stay: they are no markup in an element, and an agent that streams shows its user the text before it is
    unescaped.
    """
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def agree(ours: Answer, theirs: Answer) -> bool | None:
    """Whether two answers to one request agree; None when that is unknown.

    Deciding whether to respond, the action counts; planning, which actions are taken, in whatever order, since how a
    thought or a reply is worded is not a decision. Code agrees when it is the same but for blank space; without a
    block of code in both there is nothing to compare.
    """
    match ours, theirs:
        case ShouldRespondAnswer(), ShouldRespondAnswer():
            return ours.action == theirs.action
        case PlanningAnswer(), PlanningAnswer():
            return set(ours.actions) == set(theirs.actions)
        case CodingAnswer(), CodingAnswer() if ours.code and theirs.code:
            return ours.code.split() == theirs.code.split()
    return None


def unescape(value: str) -> str:
    """The inverse of `escape`; other entities stay as they are, as in ElizaOS."""
    return _ENTITY.sub(lambda found: _CHARACTERS[found[1]], value) if "&" in value else value


def _children(inner: str) -> Iterator[tuple[str, str]]:
    """Direct children in order: each tag up to its own closing tag, tags inside it being part of the value."""
    closed = set(_CLOSING_TAG.findall(inner))
    position = 0
    while (tag := _TAG.search(inner, position)) is not None:
        closing = f"</{tag[1]}>"
        end = inner.find(closing, tag.end()) if tag[1] in closed else -1
        if end < 0:
            position = tag.end()
            continue
        yield tag[1], inner[tag.end() : end]
        position = end + len(closing)


def _should_respond(values: Mapping[str, str]) -> ShouldRespondAnswer | InvalidAnswer:
    action = values.get("action", "").strip().upper()
    if action not in ACTIONS:
        return InvalidAnswer("action is none of RESPOND, IGNORE, STOP" if action else "no action")
    return ShouldRespondAnswer(values.get("name", ""), values.get("reasoning", ""), action)


def _plan(
    values: Mapping[str, str], known_actions: Collection[str], known_providers: Collection[str]
) -> PlanningAnswer | InvalidAnswer:
    thought, actions = values.get("thought", ""), _list(values.get("actions", ""))
    providers = _list(values.get("providers", ""))
    if not thought:
        return InvalidAnswer("no thought")
    if not actions:
        return InvalidAnswer("no actions")
    if len(actions) > 1 and "IGNORE" in map(str.upper, actions):
        return InvalidAnswer("IGNORE beside other actions")
    if not _within(actions, known_actions):
        return InvalidAnswer("an action the prompt does not offer")
    if not _within(providers, known_providers):
        return InvalidAnswer("a provider the prompt does not offer")
    return PlanningAnswer(thought, actions, providers, values.get("text", ""), values.get("params", ""))


def _coding(text: str) -> CodingAnswer:
    block = _FENCE.search(text)
    if block is None:
        return CodingAnswer(text, "", "", "")
    return CodingAnswer(text, text[: block.start()].strip(), block[4].rstrip("\n"), block[3].lower())


def _list(value: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in value.split(",")) if name)


def _within(names: Collection[str], known: Collection[str]) -> bool:
    """Whether all names are known, spelled as loosely as ElizaOS matches them. Nothing known: no opinion."""
    return not known or {name_key(name) for name in names} <= {name_key(name) for name in known}


def name_key(name: str) -> str:
    """What ElizaOS tells the names of actions and providers apart by."""
    return name.lower().replace("_", "").replace(" ", "")
