"""The process that renders its share of an export's batches.

Reads what to do and then batches from stdin, one JSON object a line; puts the pieces of each into the next memory it
shares with the export, and says on stdout what became of it. Ends when its stdin does, so it cannot outlive the export.
"""

from __future__ import annotations

import gc
import json
import sys
from itertools import chain, cycle
from pathlib import Path

import orjson

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.data.export.batches import Batcher, Facts, Shared
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.store.open import open_store
from reasoning_cli.values import DatabaseAddress


def main() -> None:
    """Work until there is no more."""
    try:
        _work()
    except OSError as error:
        _say({"errno": error.errno, "message": error.strerror or str(error)})
    except ReasoningError as error:
        _say({"error": error.message, "hint": error.hint})


def _work() -> None:
    request = sys.stdin.buffer.readline()
    if not request.endswith(b"\n"):
        return  # the export ended while it was said
    job = json.loads(request)
    gc.disable()  # rows and lines have no circles
    with open_store(_place(job["database"]), job["realm"], create=False) as store, store.each_page_once():
        batcher = Batcher(store, Rules(**job["rules"]), job["sides"])
        for line, shared in zip(sys.stdin.buffer, cycle(map(Shared, job["rendered"]))):
            if not line.endswith(b"\n"):
                return
            batch = json.loads(line)
            numbers = range(*batch["range"]) if "range" in batch else batch["numbers"]
            pieces, facts = batcher.render(numbers, bytes.fromhex(batch["to"]))
            place, content = 0, shared.first(sum(side.size_bytes for side in facts.sides))
            for piece in chain.from_iterable(pieces):
                content[place : place + len(piece)] = piece
                place += len(piece)
            del pieces, content
            _say(facts)


def _place(spelt: str | dict[str, str]) -> Path | DatabaseAddress:
    if isinstance(spelt, str):
        return Path(spelt)
    return DatabaseAddress(spelt["url"], spelt["schema"], Path(spelt["beside"]))


def _say(record: Facts | dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(record) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
