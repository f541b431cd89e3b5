"""Which of the three decisions a request is, if any.

ElizaOS sends a decision as one user message made from a template. Its first line and its output block have stayed the
same through every 1.x, while the conversation quoted between them holds whatever people wrote, templates included. So
only the start and the end of the text are looked at; path, model name and words found anywhere never decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from reasoning_cli.decisions.coding_agents import agent_of, has_coding_tools, is_aside
from reasoning_cli.decisions.prompts import compact_head, holds_compact_head

ModelType = Literal["should_respond", "planning", "coding"]
Format = Literal["xml", "toon"]
MODEL_TYPES: tuple[ModelType, ...] = ("should_respond", "planning", "coding")


@dataclass(frozen=True)
class Recognition:
    """What a request is. `model_type` is None when it is none of the three; `reason` says why, in few words.

    `fmt` is the language of the answer, `codes` the marks an ElizaOS 2.0 runtime wants echoed, by their tag.
    """

    model_type: ModelType | None
    reason: str
    fmt: Format = "xml"
    codes: Mapping[str, str] = field(default_factory=dict)

    @property
    def can_be_echoed(self) -> bool:
        """Whether all of the marks are known."""
        return all(self.codes.values())


_INITIAL_CODE = re.compile(r"\s*initial code: (\S+)\s+")
_MIDDLE_CODE = re.compile(r"\nmiddle code: (\S+)\s")
_END_CODE = re.compile(r"\nend code: (\S+)\s*\Z")
# The tags of an output block that an answer is to echo a code in: of the whole prompt, or around one of its fields.
_CODE_TAG = re.compile(r"<((?:[a-z]+_)?(?:initial|middle|end)_code|code_\w+)>")
_NUMBERED_CODE = re.compile(r"(?:one|two)_(initial|middle|end)_code")
_EXACTLY = re.compile(r"output exactly: ([^\s<]+)</code_")

_HEADS: tuple[tuple[re.Pattern[str], ModelType, Format], ...] = (
    (
        re.compile(
            r"<task>Decide on behalf of .{1,200}? whether they should respond to the message,"
            r" ignore it or stop the conversation\.</task>"
        ),
        "should_respond",
        "xml",
    ),
    (re.compile(r"<task>Generate dialog and actions for the character .{1,200}?\.</task>"), "planning", "xml"),
    (
        re.compile(
            r"task: Decide whether .{1,200}? should respond(?:, ignore, or stop| and which domain context applies)\."
        ),
        "should_respond",
        "toon",
    ),
    (re.compile(r"task: Generate dialog and actions for .{1,200}?\.[ \t]*(?:\n|\Z)"), "planning", "toon"),
)

# Other templates of the same runtime, by their first line.
_OTHER_HEADS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<task>\s*Determine the next step the assistant should take"), "multi-step decision"),
    (re.compile(r"<task>\s*Summarize what the assistant has done so far"), "multi-step summary"),
    (re.compile(r"# Task: Generate dialog for the character "), "reply action"),
    (re.compile(r"# Task: Generate Agent Reflection"), "reflection"),
    (re.compile(r"# Task: Decide if .{1,200}? should (?:start|stop) "), "room action"),
    (re.compile(r"# Task: Decide if .{1,200}? should (?:mute|unmute) "), "room action"),
    (re.compile(r"# Task: Create a post "), "post"),
    (re.compile(r"<task>\s*Analyze the provided image"), "image"),
)
_ANY_HEAD = re.compile(r"<task>|# Task:|task: ")

# The runtime appends this to the whole prompt when an answer was cut: the marker, what was shown so far, however long,
# and last what it wants. People may quote the marker further up.
_CONTINUATION, _CONTINUATION_END = "[CONTINUATION REQUIRED]", "Wrap your continuation in <text></text> tags."
_CONTINUATION_WINDOW = 2048
_OUTPUT, _OUTPUT_END = "<output>", "</output>"
# Where a prompt begins to quote what people said.
_QUOTED = re.compile(r"^# (?:Conversation Messages|Received Message)$", re.MULTILINE)
_ACTION_CHOICE = re.compile(r"<action>\s*RESPOND\s*\|\s*IGNORE\s*\|\s*STOP")
_PLAN_TAGS = ("<thought>", "<actions>", "<text>")

_SIGNS = {"user-agent": "user agent of a coding agent", "anthropic-beta": "beta of a coding agent"}
ASIDE = "a request beside the work of a coding agent"
_CUT_ANSWER, _ANOTHER_TEMPLATE = "continuation of a cut answer", "another template"
_HAS_CODE, _ASKS_FOR_CODE = "code in the message", "asks for code"
# Reasons that a person who knows better may overrule: words of a message, and no template.
WEAK_SIGNS = frozenset({_HAS_CODE, _ASKS_FOR_CODE})
# How a block begins that Claude Code puts beside what its user typed.
REMINDER = "<system-reminder>"
_ADDED_BY_CLIENT = re.compile(r"<(system-reminder|(?:local-)?command-[\w-]+)>")
_FENCED_BLOCK = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n.*?^[ \t]*\1", re.DOTALL | re.MULTILINE)
# Looked for in casefolded text, with the word boundary behind a verb's first letter: so `re` skips to where a verb
# could begin, which is ten times as fast as to ignore case at each letter of what is mostly talk.
_VERBS = (
    *("write", "implement", "fix", "refactor", "create", "generate", "add", "debug", "rewrite"),
    *("optimise", "optimize"),
)
# One of these is in whatever holds a verb; most talk holds none.
_VERB_PARTS = tuple({"optimi" if verb.startswith("optimi") else verb for verb in _VERBS} - {"rewrite"})
_CODING_WISH = re.compile(
    "(?:" + "|".join(verb[0] + r"(?<=\b.)" + verb[1:] for verb in _VERBS) + r")\b[^.?!\n]{0,60}?"
    r"\b(?:function|class|method|unit tests?|tests?|script|bug|parser|module|regex|algorithm|code)\b"
)


def recognise(
    text: str,
    headers: Mapping[str, str] | None = None,
    tools: Sequence[Mapping[str, object]] = (),
    *,
    system: str | None = None,
    max_tokens: int | None = None,
) -> Recognition:
    """Classify a request by the text of its last user message.

    `headers`, `tools` (objects with `name` and `type`), `system` and `max_tokens` are those of the request; only coding
    looks at them.
    """
    body, codes = _without_initial_code(text)
    if (found := _by_first_line(body, codes)) is not None:
        return found
    is_template = _ANY_HEAD.match(body) is not None
    if is_template and (other := _other_template(body)) is not None:
        return Recognition(None, other)

    # A coding agent may well be shown a template; an ElizaOS runtime never sends a coding agent's headers or tools.
    sign = _coding_sign(headers or {}, tools)
    if sign is not None:
        why, always_with_tools = sign
        if (always_with_tools and not tools) or is_aside(text, system, max_tokens):
            return Recognition(None, ASIDE)
        return Recognition("coding", why)

    if (found := _by_output_block(body, codes)) is not None:
        return found
    if is_template:
        return Recognition(None, _ANOTHER_TEMPLATE)
    if tools:
        return Recognition(None, "tools that are not for coding")
    if is_aside(text, system, max_tokens):
        return Recognition(None, ASIDE)
    about_code = _sign_of_code(own_words(text))
    return Recognition(None, "no decision") if about_code is None else Recognition("coding", about_code)


def _by_first_line(body: str, codes: Mapping[str, str]) -> Recognition | None:
    """A decision that begins as the templates of decisions do, whole or in their compact form."""
    for head, model_type, fmt in _HEADS:
        if head.match(body):
            if _asks_to_continue(body):
                return Recognition(None, _CUT_ANSWER)
            return Recognition(model_type, "first line of the template", fmt, codes)
    if compacted := compact_head(body):
        return Recognition("planning" if compacted[1] == "planning" else "should_respond", "compact form", codes=codes)
    return None


def _other_template(body: str) -> str | None:
    """Which other template of the runtime a prompt is made from, by its first line."""
    return next((name for head, name in _OTHER_HEADS if head.match(body)), None)


def _by_output_block(body: str, codes: Mapping[str, str]) -> Recognition | None:
    """What a prompt with an output block is, by what the block asks for; None for one without."""
    _, output, tail = body.rpartition(_OUTPUT)
    if not output:
        return None
    if _asks_to_continue(body):
        return Recognition(None, _CUT_ANSWER)
    if _shown_to_somebody(body, tail):
        return Recognition(None, "a template quoted in a message")
    if _ACTION_CHOICE.search(tail):
        return Recognition("should_respond", "output block", codes=codes)
    if all(tag in tail for tag in _PLAN_TAGS):
        return Recognition("planning", "output block", codes=codes)
    return Recognition(None, _ANOTHER_TEMPLATE)


def _sign_of_code(words: str) -> str | None:
    """Why what somebody typed is about code, if it is: a fenced block, or a wish for some."""
    if (("`" in words and "```" in words) or ("~" in words and "~~~" in words)) and _FENCED_BLOCK.search(words):
        return _HAS_CODE
    folded = words.casefold()
    if any(map(folded.__contains__, _VERB_PARTS)) and _CODING_WISH.search(folded):
        return _ASKS_FOR_CODE
    return None


def _asks_to_continue(body: str) -> bool:
    """Whether a prompt asks for the rest of an answer."""
    marker = body.rfind(_CONTINUATION)
    if marker < 0:
        return False
    if body.rstrip().endswith(_CONTINUATION_END):
        return True
    end = body.rfind(_OUTPUT_END)
    return marker > end if end >= 0 else marker >= len(body) - _CONTINUATION_WINDOW


def _shown_to_somebody(body: str, tail: str) -> bool:
    """Whether a text that ends like a template's output block only quotes one: words follow the block, or the first
    line of a template stands in the middle without being part of a conversation. `tail` follows the last `<output>`."""
    _, closed, after = tail.rpartition(_OUTPUT_END)
    if closed and _END_CODE.sub("", after).strip():
        return True
    quoted = _QUOTED.search(body)
    own_words = body[: quoted.start()] if quoted else body
    return holds_compact_head(own_words) or any(head.search(own_words) for head, _, _ in _HEADS)


def without_codes(prompt: str) -> str:
    """The prompt as the template made it: without the marks of ElizaOS 2.0 and its request to echo them.

    The marks are new for each call; a model must neither see nor learn them.
    """
    body, _ = _without_initial_code(prompt)
    if body is prompt:
        return prompt
    middle = _last(_MIDDLE_CODE, body)
    if middle is not None:
        return body[: middle.start()].rstrip()
    return _END_CODE.sub("", body)


def own_words(text: str) -> str:
    """The text without the blocks a coding client adds to what its user typed."""
    parts: list[str] = []
    position = 0
    for tag in _ADDED_BY_CLIENT.finditer(text):
        closing = f"</{tag[1]}>"
        end = text.find(closing, tag.end()) if tag.start() >= position else -1
        if end >= 0:
            parts.append(text[position : tag.start()])
            position = end + len(closing)
        elif tag.start() >= position:
            break  # never closed
    return "".join(parts) + text[position:]


def users_words(text: str) -> str:
    """What a coding client's user typed; all of the text where nothing of it is the user's."""
    return own_words(text).strip() or text if REMINDER in text or "command-" in text else text


def _without_initial_code(text: str) -> tuple[str, dict[str, str]]:
    """The text after the leading code, if there is one, and what the answer has to echo, by the tag that echoes each.

    Which those are only the runtime's own output block says, the last one; an empty value is one that nobody can give.
    """
    initial = _INITIAL_CODE.match(text)
    if initial is None:
        return text, {}
    middle, end = _last(_MIDDLE_CODE, text), _END_CODE.search(text)
    own = text.rfind(_OUTPUT, middle.end() if middle is not None else 0)
    block = text[own:] if own >= 0 else ""
    known = {"initial": initial[1], "middle": middle[1] if middle else "", "end": end[1] if end else ""}
    codes: dict[str, str] = {}
    for tag in _CODE_TAG.finditer(block):
        name = tag[1]
        if (numbered := _NUMBERED_CODE.fullmatch(name)) is not None:
            codes[name] = known[numbered[1]]
        elif name.endswith("_code"):
            codes[name] = ""
        else:
            wanted = _EXACTLY.match(block, tag.end())
            codes[name] = wanted[1] if wanted is not None else ""
    return text[initial.end() :], codes


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match: what a person wrote into the conversation stands before what the runtime appended."""
    found = None
    for found in pattern.finditer(text):  # noqa: B007
        pass
    return found


def _coding_sign(headers: Mapping[str, str], tools: Sequence[Mapping[str, object]]) -> tuple[str, bool] | None:
    """Why the sender is surely a coding agent, and whether it is one that always sends tools; None for others."""
    found = agent_of({name.lower(): value for name, value in headers.items()}) if headers else None
    if found is not None:
        return _SIGNS.get(found[1], "header of a coding agent"), True
    return ("tools of a coding agent", False) if tools and has_coding_tools(tools) else None
