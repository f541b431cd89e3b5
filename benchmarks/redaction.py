"""What taking personal data out of decisions costs, what it leaves and what it takes wrongly.

python -m benchmarks.redaction                             # 4,000 made-up decisions
python -m benchmarks.redaction --traffic FOLDER            # and every line it would change in recorded *.jsonl traffic
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.generate_log import Generator
from reasoning_cli.redaction.patterns import SHAPES, gates_of
from reasoning_cli.redaction.redactor import Redactor

SALT = b"benchmark"


def with_memory(redactor: Redactor, text: str) -> str:
    """As the program does it: lines found clean are not looked at again."""
    return redactor.redact(text)


def without_memory(redactor: Redactor, text: str) -> str:
    """The gate over the whole of each text."""
    redactor._clean, redactor._dirty = set(), {}
    return redactor.redact(text)


def without_re2(redactor: Redactor) -> Redactor:
    """The same, as where google-re2 is not installed."""
    from reasoning_cli.redaction.redactor import _Gate

    redactor._gates = tuple(map(_Gate, gates_of(SHAPES)))
    for gate in redactor._gates:
        gate._re2 = None
    return redactor


def shape_by_shape(_: Redactor, text: str) -> str:
    """Every exact pattern over every text: what the gate and the memory save."""
    for shape in SHAPES:
        for _ in shape.spans(text):
            pass
    return text


WAYS: tuple[tuple[str, Callable[[Redactor], Redactor], Callable[[Redactor, str], str]], ...] = (
    ("RE2, lines remembered", lambda redactor: redactor, with_memory),
    ("RE2", lambda redactor: redactor, without_memory),
    ("re, lines remembered", without_re2, with_memory),
    ("re", without_re2, without_memory),
    ("re, shape by shape", without_re2, shape_by_shape),
)


def measure(texts: list[str]) -> None:
    """CPU seconds of each way over the same texts, beside the first."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    first = 0.0
    print(f"{len(texts):,} texts, {size:.1f} MB")
    for name, prepared, way in WAYS:
        few = texts if "remembered" in name or name == "RE2" else texts[: len(texts) // 10]
        share = sum(len(text.encode()) for text in few) / 1e6
        seconds = []
        for _ in range(3 if few is texts else 1):
            redactor = prepared(Redactor(SALT))
            redactor.redact("a@b.example")  # compiles the gate
            begun = time.process_time()
            for text in few:
                way(redactor, text)
            seconds.append(time.process_time() - begun)
        rate = share / min(seconds)
        first = first or rate
        print(f"{name:<28}{rate:8.1f} MB/s   {rate / first:6.3f} x the first")


def planted(generator: Generator, texts: list[str]) -> None:
    """How many of the planted values any text still holds."""
    redactor = Redactor(SALT)
    whole = "\n".join(map(redactor.redact, texts))
    left = Counter(secret["kind"] for secret in generator.planted.secrets if secret["value"] in whole)
    print(f"{len(generator.planted.secrets)} planted: {sum(left.values())} left {dict(left) or ''}")
    print("taken:", dict(redactor.counts))


def strings(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    match value:
        case str():
            yield value
        case dict():
            for part in value.values():
                yield from strings(part)
        case list():
            for part in value:
                yield from strings(part)


def recorded(folder: Path) -> None:
    """Every line of recorded traffic that would change: for a person to look at."""
    redactor = Redactor(SALT)
    lines, changed = 0, Counter[str]()
    for path in sorted(folder.glob("*.jsonl")):
        for row in path.read_text().splitlines():
            for text in strings(json.loads(row)):
                before, after = text.split("\n"), redactor.redact(text).split("\n")
                lines += len(before)
                for old, new in zip(before, after, strict=False):
                    if old != new:
                        place = re.search(r"\[[A-Z_]+_[0-9a-f]{8}\]", new)
                        start = max(place.start() - 60, 0) if place else 0
                        changed[f"{path.name}: {old[start : start + 160]}\n    {new[start : start + 160]}"] += 1
    print(f"{lines:,} recorded lines, {sum(changed.values())} changed ({len(changed)} distinct):")
    for line, count in changed.most_common():
        print(f"{count:>6} x {line}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--traffic", type=Path)
    chosen = parser.parse_args()
    generator = Generator(chosen.count)
    texts = [text for sample in generator for text in (sample.prompt, sample.output)]
    measure(texts)
    planted(generator, texts)
    if chosen.traffic:
        recorded(chosen.traffic)


if __name__ == "__main__":
    main()
