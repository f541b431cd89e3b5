"""Whose names a prompt holds, for pseudonyms to take their place."""

from __future__ import annotations

import re

from reasoning_cli.decisions.prompts import agent_name, participants

# An entry of "# People in the Room": `"Alice" aka "alice", "al"` above a line with the person's id.
_LISTED = re.compile(r'^(?P<names>"[^"\n]{1,80}"(?: aka [^\n]{1,400})?)\nID: ', re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]{1,80})"')
_FIXED_LINE = re.compile(r"^(?:# |- \*\*|Possible response actions:|<)[^\n]*", re.MULTILINE)


def people_of(prompt: str) -> tuple[str, ...]:
    """The names of all who take part or are listed, but for the agent's own: it must know when it is meant.

    Who calls himself by a word of the template keeps his name, since taking it out would break the prompt.
    """
    agent = agent_name(prompt)
    listed = [name for entry in _LISTED.finditer(prompt) for name in _QUOTED.findall(entry["names"])]
    names = dict.fromkeys([*participants(prompt), *listed])
    fixed = _template_lines(prompt)
    return tuple(
        name
        for name in names
        if name != agent
        and any(letter.isalpha() for letter in name)
        and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", fixed) is None
    )


def _template_lines(prompt: str) -> str:
    """The first line, headings, lists of what is offered, and all that stands behind what people wrote."""
    end = prompt.rfind("\n</providers>")
    head = [found[0] for found in _FIXED_LINE.finditer(prompt, 0, max(end, 0))]
    return "\n".join([prompt.split("\n", 1)[0], *head, prompt[end:] if end >= 0 else ""])
