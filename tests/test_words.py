"""The field's words: in names, help and docs stands none of those that were given up for one that the field has.

A name is what is bound or looked up in the code; a text is a comment, a docstring, a string or a page of the docs.
Good English may use most of these words as verbs ("kept open", "listens on a port"): texts are held only to those that
were jargon of ours.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("reasoning_cli", "benchmarks", ".ci")
PAGES = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/**/*.md", "docs/screens/*.svg", "completions/*")

# A word of a name, and what the field says.
NAMES = {
    "face": "dialect",
    "faces": "dialects",
    "hear": "capture",
    "heard": "captured",
    "overheard": "captured",
    "listen": "capture",
    "kept": "stored, serialised, or what was stored",
    "alike": "agreement",
    "desk": "context",
    "bench": "context",
    "stint": "tenure",
    "fate": "outcome",
    "fates": "outcomes",
    "trouble": "error",
    "told": "message, or what was told",
    "tell": "notify",
    "telling": "notifying",
    "burn": "cost, rate",
    "burning": "spending",
    "unseen": "shadow",
    "newcomer": "candidate",
    "challenger": "candidate",
    "rival": "baseline",
    "rivals": "baselines",
}
# Whole names.
WHOLE = {"one": "the thing's name", "_one": "the thing's name", "Means": "context", "Ways": "context"}

# (name, where it may stand, why).
ALLOWED_NAMES = (
    ("burn_cents_per_hour", "reasoning_cli/", "a key of the JSON of costs and models, and the fields it is made from"),
    ("face", "reasoning_cli/gateway/explain.py", "a key of `gateway explain --json`, which writes the fields"),
    ("face", "reasoning_cli/commands/gateway/_views.py", "the same field"),
    ("told", "reasoning_cli/operations/train/auto/controller.py", "a column of auto_loops, and the field of that name"),
    ("told", "reasoning_cli/store/train/auto_loops.py", "the same column"),
    ("one", "reasoning_cli/operations/evaluate/report.py", "a key of a stored evaluation: one model, and the other"),
    ("one", "reasoning_cli/operations/promote/evidence.py", "the same field"),
    ("one", "reasoning_cli/commands/train/_eval_views.py", "the same field"),
    ("listen", "reasoning_cli/gateway/serving.py", "of a socket"),
    ("listen", "reasoning_cli/commands/gateway/_serving.py", "the same"),
    ("listen", "reasoning_cli/commands/dashboard/app.py", "the same"),
    ("listen", "reasoning_cli/commands/_shared/dashboard.py", "the same"),
    ("tell", "reasoning_cli/sources/files.py", "of a file, Python's own"),
    ("rival", "benchmarks/gateway", "another gateway, measured side by side"),
    ("Rival", "benchmarks/gateway", "the same"),
    ("rivals", "benchmarks/gateway", "the same"),
    ("gateway_rivals", "benchmarks/gateway", "the same"),
)

# What was jargon in a text, and what the field says.
TEXTS = {
    r"(?<!Hugging )\bfaces?\b": "dialect",
    r"\boverheard\b": "captured",
    r"\bunseen\b": "shadow",
    r"\basked beside\b": "shadow",
    r"\bhalf[- ]?way in\b": "partial rollout",
    r"\bnewcomers?\b|\bchallengers?\b|\brivals?\b": "candidate, baseline",
    r"\bstints?\b|\bfates?\b": "tenure, outcome",
    r"\bdesks?\b": "context",
    r"\bburn(?:s|ing|t)?\b": "spending",
    r"\bdecid\w+ alike\b|\balike\b(?= in )": "agreement",
    r"% of (?:the )?people\b": "users",
    r"\bnothing to complain of\b": "no problems found",
    r"\bmodels? that stands? still\b|\bwhat stands still\b": "stopped",
    # What says that there is none of a thing stays, and so does "no longer".
    r"(?<!there )(?<!None )\bis no (?!longer|more|better|worse|good|readier|way forth|limit|fault)[a-z`]\w*": "not a",
}

# Strings that are keys of JSON, labels of metrics or salts, and where they may stand.
ALLOWED_STRINGS = {
    "face": "a key of `gateway explain --json`",
    "fate": "a key of `setup from-env --json`, and a label of the gateway's metrics",
    "challenger": "a key of `gateway status --json`, and what a caller's share of the traffic is drawn by",
    "rival": "what the benchmark of gateways calls the others",
}
ALLOWED_TEXTS = (
    ("docs/reference/json.md", "a list of keys"),
    ("benchmarks/gateway", "its rivals are other gateways"),
    ("benchmarks/README.md", "the same"),
    ("reasoning_cli/commands/demo/synthetic_agent.py", "what made-up people say to each other"),
    ("benchmarks/generate_log.py", "the same"),
)


def words_of(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def names_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.value.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.alias(name=name, asname=other):
                yield node.lineno, other or name.rpartition(".")[2]
            case _:
                pass


def texts_of(source: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Comments, and strings: docstrings, messages, help."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in ALLOWED_STRINGS:
            yield node.lineno, node.value


@cache
def sources() -> tuple[tuple[str, str, ast.AST], ...]:
    files = [file for folder in CODE for file in sorted((ROOT / folder).rglob("*.py"))]
    found = [(str(file.relative_to(ROOT)), file.read_text("utf-8")) for file in files]
    return tuple((path, source, ast.parse(source)) for path, source in found)


def pages() -> Iterator[tuple[str, str]]:
    for pattern in PAGES:
        for file in sorted(ROOT.glob(pattern)):
            text = file.read_text("utf-8")
            if file.suffix == ".svg":
                text = "\n".join(re.findall(r">([^<]+)</text>", text.replace("&#160;", " ")))
            yield str(file.relative_to(ROOT)), text


def retired(name: str) -> str | None:
    return WHOLE.get(name) or next((NAMES[word] for word in words_of(name) if word in NAMES), None)


def is_allowed(name: str, path: str) -> bool:
    return any(name == allowed and path.startswith(where) for allowed, where, _ in ALLOWED_NAMES)


def test_no_name_has_a_word_that_was_given_up() -> None:
    wrong = [
        f"{path}:{line}: `{name}`: {better}"
        for path, _, tree in sources()
        for line, name in names_of(tree)
        if (better := retired(name)) is not None and not is_allowed(name, path)
    ]
    wrong += [f"{path}: {retired(Path(path).stem)}" for path, _, _ in sources() if is_wrong_file(path)]
    assert not wrong, "\n".join(wrong)


def is_wrong_file(path: str) -> bool:
    return retired(Path(path).stem) is not None and not is_allowed(Path(path).stem, path)


def test_no_text_has_jargon_that_was_given_up() -> None:
    texts = [(path, line, text) for path, source, tree in sources() for line, text in texts_of(source, tree)]
    texts += [(path, number, line) for path, page in pages() for number, line in enumerate(page.splitlines(), start=1)]
    wrong = [
        f"{path}:{line}: `{found[0]}`: {better}"
        for path, line, text in texts
        if not any(path.startswith(allowed) for allowed, _ in ALLOWED_TEXTS)
        for pattern, better in TEXTS.items()
        for found in re.finditer(pattern, text, re.IGNORECASE)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "where"), [(name, where) for name, where, _ in ALLOWED_NAMES])
def test_every_exception_is_needed(name: str, where: str) -> None:
    """What is mended leaves the list."""
    used = {found for path, _, tree in sources() if path.startswith(where) for _, found in names_of(tree)}
    files = {Path(path).stem for path, _, _ in sources() if path.startswith(where)}
    assert name in used | files


@pytest.mark.parametrize("name", ["face", "_heard_of", "hearEvents", "LONGEST_KEPT_BYTES", "Tell", "one", "is_told"])
def test_a_planted_name_is_seen(name: str) -> None:
    found = {name for _, name in names_of(ast.parse(f"def f({name}): return [{name} for x in y]"))}
    assert [retired(name) for name in found if retired(name) is not None]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("# every face of the API", True),
        ("a Hugging Face repository", False),
        ("burning $4.80/h", True),
        ("`abc` is no label", True),
        ("there is no label", False),
        ("it is no longer there", False),
        ("10 % of the people", True),
        ("the connection is kept open", False),
    ],
)
def test_a_planted_text_is_seen(text: str, seen: bool) -> None:
    assert any(re.search(pattern, text, re.IGNORECASE) for pattern in TEXTS) is seen
