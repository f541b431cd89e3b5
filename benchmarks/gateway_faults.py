"""Print the gateway's fault matrix: `python -m benchmarks.gateway_faults`.

Every fault at the original provider and at a slot's model, for every dialect, whole (w) and streamed (s). `ok`: the
agent got through the gateway at least what it got from the original directly. 1 when it got less anywhere.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.gateway.faults import DIALECTS, RELAYED, Cell
from tests.gateway.matrix import at_the_model, at_the_original, both, no_model_there, no_original_there, other_bases
from tests.gateway.serving import served

COLUMNS = [(dialect, stream) for dialect in (*DIALECTS, RELAYED) for stream in (False, True)]


def main() -> int:
    """Judge every cell, print a line a fault, and what was less."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        cells = judged(Path(name))
    names = [f"{dialect} {'s' if stream else 'w'}" for dialect, stream in COLUMNS]
    print(f"{'AT':<16} {'FAULT':<26} " + " ".join(f"{name:>12}" for name in names))
    lines = dict.fromkeys((cell.where, cell.fault) for cell in cells)
    for where, fault in lines:
        found = {(cell.dialect, cell.stream): cell for cell in cells if (cell.where, cell.fault) == (where, fault)}
        shown = [("less" if found[column].flaw else "ok") if column in found else "-" for column in COLUMNS]
        print(f"{where:<16} {fault:<26} " + " ".join(f"{word:>12}" for word in shown))
    less = [cell for cell in cells if cell.flaw is not None]
    seconds = time.perf_counter() - began
    print(f"{len(cells)} cells, {len(lines)} faults, {len(less)} where the agent got less, {seconds:.1f} s")
    for cell in less:
        print(f"{cell.where}: {cell.fault}, {cell.dialect} {'streamed' if cell.stream else 'whole'}: {cell.flaw}")
    return 1 if less else 0


def judged(folder: Path) -> list[Cell]:
    """All cells."""
    (folder / "open").mkdir()
    (folder / "closed").mkdir()
    bases, server = other_bases(folder)
    with served(folder / "closed", slots=False) as gateway:
        cells = [*at_the_original(gateway), *no_original_there(gateway, bases)]
    with served(folder / "open") as gateway:
        cells += [*at_the_model(gateway), *no_model_there(gateway, bases)]
    with served(folder / "open") as gateway:
        cells += both(gateway)
    server.close()
    return cells


if __name__ == "__main__":
    sys.exit(main())
