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
from reasoning_cli.operations.exporting_batches import Batcher, joined
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
            pieces, facts = batcher.render(batch["numbers"], bytes.fromhex(batch["to"]))
            turn = os.read(job["turn"], 1)
            if not turn:
                return  # another worker ended
            begun = turn[0]
            for side, file in enumerate(files):
                content, begun = joined(rules, pieces[side], facts.sides[side], side, begun)
                while content:
                    content = content[os.write(file, content) :]
            try:
                os.write(job["next_turn"], bytes([begun]))
            except BrokenPipeError:
                return  # whose turn it was has ended, which is told of it, and not of a file
            del pieces
            _say(vars(facts) | {"sides": [vars(side) for side in facts.sides]})


def _say(record: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(record).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
