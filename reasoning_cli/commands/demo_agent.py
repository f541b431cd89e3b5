"""A small agent's past for the tour: rows as ElizaOS writes them into its `logs` table."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

AGENT = "Ada"
ROOM = "tour"
MESSAGES = (
    ("Ben", "Hi Ada, are you there?", "RESPOND", "Yes, I am here. What can I do for you?"),
    ("Cleo", "I had soup for lunch.", "IGNORE", ""),
    ("Ben", "Ada, what is the capital of Peru?", "RESPOND", "Lima."),
    ("Cleo", "Ben, did you see the game?", "IGNORE", ""),
    ("Ben", "Ada, please stop talking in this room.", "STOP", ""),
    ("Cleo", "Ada, is 91 < 7 * 13?", "RESPOND", "No: 7 * 13 is 91, so they are equal & not less."),
)
ROUNDS = 10

_RESPOND = """<task>Decide on behalf of {agent} whether they should respond to the message, ignore it or stop the \
conversation.</task>
<providers>
{talk}
</providers>
<output>
<response>
  <name>{agent}</name>
  <reasoning>why</reasoning>
  <action>RESPOND | IGNORE | STOP</action>
</response>
</output>"""

_PLAN = """<task>Generate dialog and actions for the character {agent}.</task>
<providers>
Possible response actions: REPLY, IGNORE, NONE
{talk}
</providers>
<output>
<response>
  <thought>what you think</thought>
  <actions>ACTION</actions>
  <providers>PROVIDER</providers>
  <text>what you say</text>
</response>
</output>"""

_TALK = "# Received Message\n{sender}: {text}\n\n\n# Focus your response\nAnswer {sender}."


def planning_prompt(text: str) -> str:
    """What the agent asks its provider when it is to answer `text`."""
    return _PLAN.format(agent=AGENT, talk=_TALK.format(sender=MESSAGES[0][0], text=text))


def agent_logs() -> str:
    """Sixty messages of one room as JSON Lines: a should_respond decision each, and a planning one where it spoke."""
    return "".join(f"{json.dumps(row)}\n" for row in _rows())


def _rows() -> Iterator[dict[str, object]]:
    at = datetime.now(UTC) - timedelta(hours=20)
    for turn in range(ROUNDS * len(MESSAGES)):
        sender, text, decision, reply = MESSAGES[turn % len(MESSAGES)]
        at += timedelta(minutes=17)
        talk = _TALK.format(sender=sender, text=f"{text} ({turn // len(MESSAGES) + 1})")
        why = "addressed" if decision == "RESPOND" else "not for me"
        decided = f"<response><name>{AGENT}</name><reasoning>{why}</reasoning><action>{decision}</action></response>"
        yield _row(at, turn, "TEXT_SMALL", _RESPOND.format(agent=AGENT, talk=talk), decided)
        if reply:
            said = reply.replace("&", "&amp;").replace("<", "&lt;")
            planned = (
                f"<response><thought>I know this.</thought><actions>REPLY</actions>"
                f"<providers></providers><text>{said}</text></response>"
            )
            yield _row(at + timedelta(seconds=1), turn, "TEXT_LARGE", _PLAN.format(agent=AGENT, talk=talk), planned)


def _row(at: datetime, turn: int, kind: str, prompt: str, response: str) -> dict[str, object]:
    run = uuid.uuid5(uuid.NAMESPACE_URL, f"tour:{turn}")
    return {
        "id": str(uuid.uuid5(run, kind)),
        "created_at": at.isoformat(),
        "entity_id": str(uuid.uuid5(uuid.NAMESPACE_URL, AGENT)),
        "room_id": str(uuid.uuid5(uuid.NAMESPACE_URL, ROOM)),
        "type": f"useModel:{kind}",
        "body": {
            "modelType": kind,
            "modelKey": kind,
            "prompt": prompt,
            "systemPrompt": f"You are {AGENT}, short and friendly.",
            "runId": str(run),
            "timestamp": int(at.timestamp() * 1000),
            "executionTime": 240 + turn,
            "provider": "openai",
            "response": response,
        },
    }
