"""Killed with SIGKILL at a request and typed again, a training ends well: one file a side, one job, one price.

Here the requests that change something, and a few of the others, in the worst moment of each.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests.operations.train.kills import TrainingKills

MOMENTS = ("before", "after_action")
OTHERS = 2


def test_killed_and_typed_again(tmp_path: Path) -> None:
    kills = TrainingKills(tmp_path)
    calls = kills.calls()
    made = [one for one in calls if one.method == "POST" and one.path == "/v1/fine-tunes"]
    sent = [one for one in calls if one.method == "POST" and one.path == "/v1/files"]
    stored = [one for one in calls if one.method == "PUT"]
    assert (len(made), len(sent), len(stored)) == (1, 2, 2)
    dice = random.Random("training")
    chosen = [(one, "after_action") for one in (*made, *sent[:1], *stored[1:])]
    chosen += [(made[0], "before"), *((dice.choice(calls), dice.choice(MOMENTS)) for _ in range(OTHERS))]
    for call, moment in chosen:
        assert kills.kill(call, moment) == [], (call, moment)
