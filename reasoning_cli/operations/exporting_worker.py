"""The process that renders its share of an export's batches and writes each when its turn has come.

Reads what to do and then batches from stdin, one JSON object a line; says on stdout what became of each. Ends when its
stdin does, so it cannot outlive the export.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.exporting_batches import Batcher, begin_files, read_turn, turn_of
from reasoning_cli.operations.exporting_lines import Rules
from reasoning_cli.store.database import open_store


def main() -> None:
    """Work until there is no more."""
    try:
        _work()
    except OSError as error:
        _say({"errno": error.errno, "message": error.strerror or str(error)})
    except ReasoningError as error:
        _say({"error": error.message, "hint": error.hint})


def _work() -> None:
    told = sys.stdin.buffer.readline()
    if not told.endswith(b"\n"):
        return  # the export ended while it was said
    job = json.loads(told)
    gc.disable()  # rows and lines have no circles
    rules, files = Rules(**job["rules"]), job["files"]
    with open_store(Path(job["database"]), job["realm"], create=False) as store:
        batcher = Batcher(store, rules, len(files))
        for line in sys.stdin.buffer:
            if not line.endswith(b"\n"):
                return
            batch = json.loads(line)
            numbers = range(*batch["range"]) if "range" in batch else batch["numbers"]
            pieces, facts = batcher.render(numbers, bytes.fromhex(batch["to"]))
            contents = [b"".join(mine) for mine in pieces]
            del pieces
            turn = read_turn(job["turn"], len(files))
            if turn is None:
                return  # another worker ended
            begun, ends = turn
            begun = begin_files(rules, contents, facts, begun)
            next_turn = turn_of(begun, [end + len(content) for end, content in zip(ends, contents, strict=True)])
            if job["ours"] and not _hand_on(job["next_turn"], next_turn):
                return
            for file, content, end in zip(files, contents, ends, strict=True):
                _write(file, memoryview(content), end if job["ours"] else None)
            if not job["ours"] and not _hand_on(job["next_turn"], next_turn):
                return
            _say(vars(facts) | {"sides": [vars(side) for side in facts.sides]})


def _hand_on(descriptor: int, turn: bytes) -> bool:
    """Whether the one whose turn it is now was still there; its end is told by another than this one."""
    try:
        os.write(descriptor, turn)
    except BrokenPipeError:
        return False
    return True


def _write(file: int, content: memoryview, place: int | None) -> None:
    """All of it, at a place in a file, or wherever the file stands."""
    while content:
        if place is None:
            written = os.write(file, content)
        else:
            written = os.pwrite(file, content, place)
            place += written
        content = content[written:]


def _say(record: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(record).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
