"""The table of the gateway beside nginx.

python -m tests.gateway.differential                 the table of all cases
python -m tests.gateway.differential --only WORD     of those whose name holds it
python -m tests.gateway.differential --differences   of those only that differ
python -m tests.gateway.differential --record        run the nginx that is installed and record its verdicts
python -m tests.gateway.differential --save FILE     keep our verdicts; --against FILE: show what changed since
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.gateway.differential import peers
from tests.gateway.differential.comparing import RECORDED, compared, recorded, verdicts
from tests.gateway.differential.judging import told


def main() -> None:
    parser = argparse.ArgumentParser(description="The gateway beside nginx.")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--differences", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--save", type=Path, metavar="FILE")
    parser.add_argument("--against", type=Path, metavar="FILE")
    parser.add_argument("--times", action="store_true", help="tell which cases take long")
    given = parser.parse_args()
    say = sys.stdout.write
    began = time.monotonic()

    def tell(name: str, seconds: float) -> None:
        if given.times and seconds > 0.3:
            sys.stderr.write(f"{seconds:.2f} s: {name}\n")

    if given.record:
        version = peers.nginx_version()
        if version is None:
            parser.error("no nginx is installed here")
        made = verdicts(peers.Nginx(), tell=tell)
        lines = {name: told(verdict) for name, verdict in made.items()}
        RECORDED.write_text(json.dumps({"nginx": version, "verdicts": lines}, indent=1) + "\n")
        say(f"{len(made)} cases in {time.monotonic() - began:.1f} s\n")
        return
    with peers.ours() as ours:
        found = verdicts(ours, lambda name: given.only in name, tell)
    if given.save:
        given.save.write_text(json.dumps(found, indent=1) + "\n")
    if given.against:
        before = json.loads(given.against.read_text())
        for name, verdict in found.items():
            was = told(before.get(name, {"": "no such case"}))
            if told(verdict) != was:
                say(f"\n{name}\n  before  {was}\n  now     {told(verdict)}\n")
        say(f"\n{len(found)} cases in {time.monotonic() - began:.1f} s\n")
        return
    theirs = recorded()
    for one in compared(found, theirs, None if given.only else ""):
        if one.same and given.differences:
            continue
        say(f"\n{one.name}\n  nginx  {one.theirs}\n")
        say("  ours   the same\n" if one.same else f"  ours   {one.ours}\n  why    {one.why}\n")
    say(f"\n{len(found)} cases in {time.monotonic() - began:.1f} s\n")


if __name__ == "__main__":
    main()
