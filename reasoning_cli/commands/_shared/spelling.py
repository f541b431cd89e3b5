"""What people type, brought into the words and the order that the parser knows.

Global options may stand anywhere on the line, and `-m TYPE` is a model type where that is an argument too. What an
option was called once still works, and a line on stderr says its name of now. A command of another tool leads to the
one that does the same here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typer.core import TyperOption

# What options were called before, by command.
OLD_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "models deploy": {"--keep-old": "--keep"},
    "models promote": {"--keep-old": "--keep"},
    "models rollback": {"--keep-old": "--keep"},
    "models upload": {"--type": "--kind"},
    "costs auto-shutdown": {"--minutes": "--idle-minutes"},
    "data review": {"--as": "--annotator"},
    "data label": {"--as": "--annotator"},
    "data labels": {"--as": "--annotator"},
    "train start": {"--start-date": "--since", "--end-date": "--until"},
    "train eval": {"--last": "--limit"},
    "train download": {"--type": "--kind"},
    "train promote": {"--keep-loser": "--keep"},
    "train rollback": {"--keep-loser": "--keep"},
}
# Letters that stand for a model type today, and took a number before.
OLD_NUMBERS: Mapping[str, Mapping[str, str]] = {"costs auto-shutdown": {"-m": "--idle-minutes"}}

_GONE = dict.fromkeys(("delete", "remove", "rm", "destroy"))
# What other tools call it, by the group it was typed behind (empty: none), and the commands that do it here.
MEANT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "": {
        **dict.fromkeys(("help", "man"), ("--help",)),
        "version": ("--version",),
        **dict.fromkeys(("login", "auth", "signin"), ("setup", "config set-key")),
        "logout": ("config unset together.api_key",),
        **dict.fromkeys(("init", "install", "configure", "quickstart"), ("setup",)),
        "settings": ("config",),
        **dict.fromkeys(("ps", "running"), ("models status",)),
        **dict.fromkeys(("ls", "list"), ("models list", "data list")),
        **dict.fromkeys(("up", "launch", "create"), ("models deploy",)),
        **dict.fromkeys((*_GONE, "down", "kill", "terminate"), ("models undeploy",)),
        **dict.fromkeys(("logs", "log", "history", "samples", "decisions"), ("data list",)),
        **dict.fromkeys(("run", "serve", "proxy", "server"), ("gateway serve",)),
        "metrics": ("gateway stats",),
        **dict.fromkeys(("bill", "billing", "usage", "spend"), ("costs report",)),
        "budget": ("costs set-budget",),
        **dict.fromkeys(("cap", "limit", "limits"), ("costs set-budget", "costs set-cap")),
        **dict.fromkeys(("price", "pricing"), ("costs prices", "models hardware")),
        **dict.fromkeys(("finetune", "fine-tune", "tune"), ("train start",)),
        **dict.fromkeys(("jobs", "runs"), ("train list",)),
        "evaluate": ("train eval",),
        **dict.fromkeys(("chat", "ask", "infer"), ("models test",)),
        **dict.fromkeys(("check", "whoami", "health"), ("doctor", "data check")),
        "completions": ("setup completion",),
        "profile": ("config profiles",),
    },
    "setup": {
        **dict.fromkeys(("init", "run", "start", "wizard"), ("setup",)),
        **dict.fromkeys(("login", "key"), ("config set-key",)),
        "completions": ("setup completion",),
    },
    "config": {
        **dict.fromkeys(("list", "ls", "show", "view", "dump"), ("config",)),
        **dict.fromkeys((*_GONE, "clear", "reset"), ("config unset",)),
        **dict.fromkeys(("login", "key"), ("config set-key",)),
        **dict.fromkeys(("where", "file"), ("config path",)),
        "open": ("config edit",),
        "profile": ("config profiles",),
    },
    "models": {
        **dict.fromkeys((*_GONE, "down", "terminate", "kill"), ("models undeploy",)),
        **dict.fromkeys(("create", "run", "launch", "up"), ("models deploy",)),
        "ls": ("models list",),
        "ps": ("models status",),
        **dict.fromkeys(("get", "info", "describe", "inspect"), ("models show",)),
        **dict.fromkeys(("pause", "shutdown"), ("models stop",)),
        "resume": ("models start",),
        **dict.fromkeys(("add", "import", "push"), ("models upload", "models adopt")),
        **dict.fromkeys(("pull", "download"), ("train download",)),
        **dict.fromkeys(("logs", "log"), ("gateway stats", "data list")),
        **dict.fromkeys(("chat", "ask"), ("models test",)),
        **dict.fromkeys(("price", "prices", "pricing"), ("models hardware",)),
    },
    "gateway": {
        **dict.fromkeys(("start", "run", "up"), ("gateway serve",)),
        **dict.fromkeys(("logs", "log", "history"), ("data list",)),
        **dict.fromkeys(("ps", "health"), ("gateway status",)),
        "metrics": ("gateway stats",),
    },
    "costs": {
        **dict.fromkeys(("list", "ls", "show", "bill", "usage", "status"), ("costs report",)),
        "budget": ("costs set-budget",),
        "cap": ("costs set-cap",),
        **dict.fromkeys(("limit", "limits"), ("costs set-budget", "costs set-cap")),
        **dict.fromkeys(("price", "pricing"), ("costs prices",)),
        **dict.fromkeys(("history", "logs", "log"), ("costs events",)),
    },
    "data": {
        "ls": ("data list",),
        **dict.fromkeys(_GONE, ("data forget", "data cleanup")),
        **dict.fromkeys(("add", "load", "ingest"), ("data import",)),
        **dict.fromkeys(("dump", "save"), ("data export",)),
        **dict.fromkeys(("validate", "lint"), ("data check",)),
        **dict.fromkeys(("clean", "prune", "purge"), ("data cleanup",)),
        **dict.fromkeys(("find", "grep"), ("data search",)),
        **dict.fromkeys(("get", "view"), ("data show",)),
        **dict.fromkeys(("annotate", "tag"), ("data label",)),
        **dict.fromkeys(("count", "info", "status"), ("data stats",)),
    },
    "train": {
        **dict.fromkeys(("run", "create", "new", "resume", "continue"), ("train start",)),
        **dict.fromkeys(("ls", "jobs", "runs"), ("train list",)),
        **dict.fromkeys(("stop", "abort", "kill"), ("train cancel",)),
        **dict.fromkeys(("remove", "rm"), ("train delete",)),
        "evaluate": ("train eval",),
        **dict.fromkeys(("logs", "log"), ("train events",)),
        **dict.fromkeys(("follow", "wait"), ("train watch",)),
        **dict.fromkeys(("get", "info", "describe"), ("train show",)),
    },
    "sandbox": {
        **dict.fromkeys(("start", "run", "up"), ("sandbox serve",)),
        **dict.fromkeys(("down", "kill"), ("sandbox stop",)),
        **dict.fromkeys(("clear", "clean", *_GONE), ("sandbox reset",)),
    },
}

# The same for options; the first that the command has is the one meant.
MEANT_OPTIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("--start-date", "--start", "--from-date", "--newer-than", "--days"), ("--since",)),
    **dict.fromkeys(("--end-date", "--end", "--to-date", "--before"), ("--until",)),
    **dict.fromkeys(("--type", "--slot", "-t"), ("--model-type", "--as")),
    **dict.fromkeys(("--last", "--count", "--max", "--top"), ("--limit",)),
    **dict.fromkeys(("--out", "--out-file", "--file", "--to"), ("--output",)),
    **dict.fromkeys(("--follow", "--live", "--refresh"), ("--watch",)),
    **dict.fromkeys(("--output", "-o", "--csv", "--tsv", "--jsonl"), ("--format",)),
    **dict.fromkeys(("--keep-old", "--keep-loser"), ("--keep",)),
    **dict.fromkeys(("--non-interactive", "--assume-yes", "--force", "--no-input"), ("--yes",)),
    **dict.fromkeys(("--plan", "--preview", "--what-if"), ("--dry-run",)),
    **dict.fromkeys(("--ids", "--ids-only"), ("--quiet",)),
    "-n": ("--limit", "--dry-run"),
}


class Root(Protocol):
    """All commands; those of a group are there once it is loaded."""

    @property
    def commands(self) -> Mapping[str, Any]: ...

    def load(self, name: str) -> None: ...


def arrange(root: Root, typed: list[str]) -> tuple[list[str], list[str]]:
    """What was typed with the global options in front and every option by its name of now, and a line for each that
    was called otherwise once. What no command knows stays where it is: the parser says so better."""
    arrangement = _Arrangement(root, typed)
    while arrangement.words:
        arrangement.take()
    return [*arrangement.front, *arrangement.behind], arrangement.lines


class _Arrangement:
    """What was typed, put in order a word at a time: `words` are those to come, the next last."""

    def __init__(self, root: Root, typed: list[str]) -> None:
        self.words = typed[::-1]
        self.front: list[str] = []
        self.behind: list[str] = []
        self.lines: list[str] = []
        self._root = root
        self._command: Any = root
        self._path, self._first = "", 0  # of the command, and where its arguments begin

    def take(self) -> None:
        """Put the next word, and what belongs to it, where it goes."""
        word = self.words.pop()
        if word == "--":
            self._leave(word)
        elif not word.startswith("-") or word == "-":
            self._take_name(word)
        else:
            self._take_option(word)

    def _leave(self, *words: str) -> None:
        """Leave all the rest as it was typed."""
        self.behind += [*words, *self.words[::-1]]
        self.words.clear()

    def _take_name(self, word: str) -> None:
        """The name of a command, or an argument of one."""
        self.behind.append(word)
        if not hasattr(self._command, "commands"):
            return
        self._path = f"{self._path} {word}".lstrip()
        if self._command is self._root and word in self._root.commands:
            self._root.load(word)
        below = self._command.commands.get(word)
        if below is None:
            self._leave()
        else:
            self._command, self._first = below, len(self.behind)

    def _take_option(self, word: str) -> None:
        word, line = _renamed(self._path, word, self.words[-1] if self.words else "")
        if line is not None:
            self.lines.append(line)
        known = _options(self._command)
        if self._is_type_argument(word, known) and (_inline(word) or self.words):
            self.behind.insert(self._first, _inline(word) or self.words.pop())
            return
        is_global = self._is_global(word, known)
        place = self.front if is_global else self.behind
        place.append(word)
        if self.words and _takes_next(_options(self._root) if is_global else known, word):
            place.append(self.words.pop())

    def _is_type_argument(self, word: str, known: Mapping[str, TyperOption]) -> bool:
        """Whether an option names the model type where the command takes it as its first argument."""
        return _names_type(word) and not _knows(known, word) and _takes_type(self._command)

    def _is_global(self, word: str, known: Mapping[str, TyperOption]) -> bool:
        """Whether an option is the program's, and not one of the command's of that name."""
        if self._command is self._root:
            return True
        return not _knows(known, word) and _knows(_options(self._root), word)


def _inline(word: str) -> str:
    """The value in an option: `--name=value`, `-nvalue`."""
    return word.partition("=")[2] if word.startswith("--") else word[2:]


def meant(root: Root, group: str, word: str) -> list[str]:
    """The commands that `word`, typed behind `group` (empty: first), may stand for, without the program's name."""
    if known := MEANT.get(group, {}).get(word):
        return list(known)
    if group and word in root.commands:
        return [word]
    found = []
    for name in root.commands:
        root.load(name)
        if word in getattr(root.commands[name], "commands", {}):
            found.append(f"{name} {word}")
    return found


def meant_option(command: Any, name: str) -> str | None:
    """The option of `command` that `name`, which it does not have, may stand for."""
    known = _options(command)
    return next((meant_option for meant_option in MEANT_OPTIONS.get(name, ()) if meant_option in known), None)


def _renamed(path: str, word: str, following: str) -> tuple[str, str | None]:
    """An option by its name of now, and what to say where that is another."""
    name, equals, value = word.partition("=")
    if new := OLD_OPTIONS.get(path, {}).get(name):
        return f"{new}{equals}{value}", f"`{name}` is called `{new}` now; the old name still works"
    letter, number = word[:2], word[2:].removeprefix("=")
    if (new := OLD_NUMBERS.get(path, {}).get(letter)) and (number or following).isdecimal():
        shown = number or following
        line = f"`{letter} {shown}` is `{new} {shown}` now; `{letter}` is a model type, as everywhere"
        return (f"{new}={number}" if number else new), line
    return word, None


def _names_type(word: str) -> bool:
    return word.partition("=")[0] == "--model-type" or (word.startswith("-m") and not word.startswith("--"))


def _takes_type(command: Any) -> bool:
    """Whether its first argument is a model type: there `-m TYPE` is the same as TYPE."""
    return any(param.name == "model_type" and param.param_type_name == "argument" for param in command.params)


def _options(command: Any) -> dict[str, TyperOption]:
    return {name: param for param in command.params for name in (*param.opts, *param.secondary_opts)}


def _knows(options: Mapping[str, TyperOption], word: str) -> bool:
    return (word.partition("=")[0] if word.startswith("--") else word[:2]) in options


def _takes_next(options: Mapping[str, TyperOption], word: str) -> bool:
    """Whether the word behind this one is its value: of an option alone, or the last of several letters."""
    if word.startswith("--"):
        return word in options and _takes_value(options[word])
    for place, letter in enumerate(word[1:], start=2):
        option = options.get(f"-{letter}")
        if option is None or _takes_value(option):
            return option is not None and place == len(word)
    return False


def _takes_value(option: TyperOption) -> bool:
    return not (option.is_flag or option.count)
