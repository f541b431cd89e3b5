"""The coding agents there are, and how each is known by what it sends. All that tells one from others stands here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CodingAgent:
    """One agent. Its `user_agent` begins so; each of its `headers` holds a value that begins so, the values of a list
    being looked at one by one."""

    name: str
    user_agent: str
    headers: tuple[tuple[str, str], ...] = ()


# All of them send tools with whatever they do themselves: what comes without any is a request beside that.
AGENTS = (
    CodingAgent("claude-code", "claude-cli/", (("x-app", "cli"), ("anthropic-beta", "claude-code-"))),
    CodingAgent("codex", "codex", (("originator", "codex"),)),
    CodingAgent("opencode", "opencode/"),
)
HEADERS_READ = ("user-agent", *sorted({name for agent in AGENTS for name, _ in agent.headers}))

# Tools of coding agents, for those that are not in the table. Two of them make a coding agent, if one changes files or
# runs programs: others read and write too.
_TOOLS = frozenset(
    {
        *("Read", "Edit", "Write", "Bash", "MultiEdit", "Glob", "Grep", "NotebookEdit", "str_replace_based_edit_tool"),
        *("read", "edit", "write", "bash", "glob", "grep", "exec_command", "write_stdin", "shell", "apply_patch"),
    }
)
_MERELY_READS = frozenset({"read", "write", "glob", "grep"})
_TOOL_TYPE = re.compile(r"(?:bash|text_editor)_")

# How the system text, or the last message, of a request begins that gives a conversation a title or sums it up. Claude
# Code's first block is a line for its vendor's bills.
BILLING = "x-anthropic-billing-header:"
_ASIDE = re.compile(
    # Nothing of the line is given back: of a long one each space would be tried as its end, with all that follow.
    rf"\s*+(?:{BILLING}[^\n]*+\n\s*+)?"
    r"(?:You are (?:a|an) [^.\n]{0,60}?(?:title|tasked with summari[sz]ing|summari[sz]e)"
    r"|(?:Please )?(?:generate|write|create) an? [^.\n]{0,40}?(?:title|summary) (?:for|of) th(?:is|e) "
    r"(?:conversation|session|chat)"
    r"|Your task is to (?:create|write) a [^.\n]{0,20}?summary of (?:this|the) conversation"
    r"|You are performing a context checkpoint)",
    re.IGNORECASE,
)
_SHORTEST_ANSWER_TOKENS = 32  # whoever wants fewer asks whether a key is good, or for a word


def agent_of(headers: Mapping[str, str]) -> tuple[CodingAgent, str] | None:
    """The agent that sends these headers (their names in lower case), and by which it is known."""
    if not headers:
        return None
    user_agent = headers.get("user-agent", "")
    for agent in AGENTS:
        if user_agent.startswith(agent.user_agent):
            return agent, "user-agent"
        for name, begins in agent.headers:
            if (value := headers.get(name)) and any(part.strip().startswith(begins) for part in value.split(",")):
                return agent, name
    return None


def has_coding_tools(tools: Iterable[Mapping[str, object]]) -> bool:
    """Whether a request's tools are those of a coding agent."""
    names = set()
    for tool in tools:
        if _TOOL_TYPE.match(str(tool.get("type", ""))):
            return True
        names.add(str(tool.get("name")))
    known = names & _TOOLS
    return len(known) >= 2 and bool(known - _MERELY_READS)


def without_billing(system: str) -> str:
    """A system text without the line for the vendor's bills, which is another one with each call."""
    if not system.startswith(BILLING):
        return system
    return system.partition("\n")[2].lstrip("\n")


def is_aside(text: str, system: str | None, max_tokens: int | None) -> bool:
    """Whether a coding agent wants something for itself: a title, a summary, a word."""
    if max_tokens is not None and max_tokens < _SHORTEST_ANSWER_TOKENS:
        return True
    return _ASIDE.match(text) is not None or (system is not None and _ASIDE.match(system) is not None)
