"""One vocabulary: what an option means it is called everywhere, and a name or a letter means one thing.

Every command is walked, so that a new one keeps to it; what does not is stated here with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from reasoning_cli.app import ENTRIES, Root, app
from reasoning_cli.commands._shared.spelling import MEANT, MEANT_OPTIONS, OLD_NUMBERS, OLD_OPTIONS
from reasoning_cli.terminal.listing import Format

# What each letter stands for, wherever it stands.
LETTERS = {
    "-m": {"--model-type", "--as"},
    "-l": {"--limit"},
    "-f": {"--format"},
    "-w": {"--watch"},
    "-o": {"--output"},
    "-q": {"--quiet"},
    "-y": {"--yes"},
    "-d": {"--days"},
    "-v": {"--verbose"},
    "-V": {"--version"},
}
# What a value stands for, by how help shows it, and what an option that takes one is called.
VALUES = {
    "TYPE": {"--model-type", "--as", "--enable"},  # `setup --enable`: which types, not of which type
    "WHEN": {"--since", "--until"},
    "NAME|ID": {"--agent"},
    "LABEL": {"--label"},
    "WHO": {"--source"},
    "STOP|REPLY|…": {"--decision"},
    "DECISION": {"--after", "--id"},
}
ALIASES = {"data export": {"--since": "--start-date", "--until": "--end-date"}}  # the names of the guide

# --format that says what is in a file, not how a listing is written.
FILE_FORMATS = {"data import", "data export"}
LOGS = {"costs guard": {"table", "jsonl"}}  # a line each round: a stream has no table of CSV and no end
WHOSE_AGENT = {"setup", "setup env", "gateway env"}  # --agent: which kind of program, not whose decisions
DELETED = {"data forget"}  # names what is to go, not what is looked at
KEPT = {"--keep-files", "--keep-labelled"}  # what is kept is not a model
BARE = {"list", "status", "stats", "events", "history", "labels", "search", "profiles", "evals", "hardware", "prices"}


def walk(path: str, command: TyperCommand | TyperGroup) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    if path and (not isinstance(command, TyperGroup) or command.invoke_without_command):
        yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(f"{path} {name}".strip(), below)


def root() -> Root:
    command = get_command(app)
    assert isinstance(command, Root)
    for name in ENTRIES:
        command.load(name)
    return command


COMMANDS = dict(walk("", root()))
OPTIONS = [
    (path, option) for path, command in COMMANDS.items() for option in command.params if isinstance(option, TyperOption)
]


def names_of(path: str) -> set[str]:
    return {name for at, option in OPTIONS if at == path for name in (*option.opts, *option.secondary_opts)}


def test_a_letter_means_one_thing_and_what_it_means_has_it() -> None:
    for path, option in [*OPTIONS, *(("", one) for one in root().params)]:
        assert isinstance(option, TyperOption)
        letters = {name for name in option.opts if not name.startswith("--")}
        assert letters <= LETTERS.keys(), f"{path}: {option.opts}"
        for letter, names in LETTERS.items():
            if letter in letters or names & set(option.opts):
                assert letter in letters, f"{path}: {option.opts} lacks {letter}"
                assert names & set(option.opts), f"{path}: {option.opts}"


def test_what_a_value_stands_for_decides_what_its_option_is_called() -> None:
    for path, option in OPTIONS:
        for metavar, names in VALUES.items():
            if option.metavar == metavar:
                assert names & set(option.opts), f"{path}: {option.opts} takes {metavar}"
            named = names & set(option.opts) - ({"--agent"} if path in WHOSE_AGENT else set())
            assert not named or option.metavar == metavar, f"{path}: {option.opts} takes {option.metavar}"


def test_an_option_has_one_long_name() -> None:
    for path, option in OPTIONS:
        named = [name for name in option.opts if name.startswith("--")]
        alias = ALIASES.get(path, {}).get(named[0])
        assert named[1:] == ([alias] if alias else []), f"{path}: {named}"


def test_what_can_be_limited_to_a_time_can_at_both_ends() -> None:
    for path in COMMANDS.keys() - {"costs compare"}:  # it looks at the traffic there is now
        assert len({"--since", "--until"} & names_of(path)) != 1, path


def test_what_filters_decisions_filters_by_agent_room_time_and_type() -> None:
    filters = {"--agent", "--room", "--source", "--label"}
    for path, command in COMMANDS.items():
        names = names_of(path)
        if path in DELETED | WHOSE_AGENT | {"data label"} or not names & filters:
            continue
        assert {"--agent", "--room", "--since", "--until"} <= names, path
        assert "-m" in names or any(one.name == "model_type" for one in command.params), path
        assert {"--source", "--label", "--decision"} <= names or not {"--source", "--label"} & names, path


def test_every_listing_takes_every_format() -> None:
    for path in COMMANDS:
        formats = [option for at, option in OPTIONS if at == path and "--format" in option.opts]
        if path in FILE_FORMATS:
            continue
        if path.split()[-1] in BARE:
            assert formats, path
            assert "--quiet" in names_of(path), path
        for option in formats:
            choices = LOGS.get(path, {one.value for one in Format})
            assert set(option.type.choices) >= choices, path  # type: ignore[attr-defined]
            assert "--json" in names_of(path) or path in LOGS, path
        assert "--quiet" not in names_of(path) or formats, path


def test_a_decision_is_a_decision_and_a_type_a_model_type() -> None:
    for path, command in COMMANDS.items():
        for argument in command.params:
            if isinstance(argument, TyperArgument):
                assert "ID" not in (argument.metavar or "").strip("[].").split("|") or path == "models adopt", path
                if "USD" in (argument.metavar or ""):
                    assert argument.metavar == "USD|none", path
    for path in ("data show", "data label", "data labels"):
        assert "DECISION" in (COMMANDS[path].params[0].metavar or ""), path


def test_what_is_kept_of_a_model_is_called_keep() -> None:
    for path in COMMANDS:
        assert {name for name in names_of(path) if name.startswith("--keep-")} <= KEPT, path
    for path in ("models deploy", "models undeploy", "models promote", "models rollback", "train promote"):
        assert "--keep" in names_of(path), path


def test_no_command_takes_a_global_option_for_itself() -> None:
    everywhere = {name for option in root().params for name in option.opts}
    for path in COMMANDS:
        assert not everywhere & names_of(path), path


def test_each_old_name_is_gone_and_leads_to_one_that_is_there() -> None:
    for path, renamed in OLD_OPTIONS.items():
        for old, new in renamed.items():
            assert (old in names_of(path), new in names_of(path)) == (False, True), f"{path} {old}"
    for path, renamed in OLD_NUMBERS.items():
        assert {*renamed, *renamed.values()} <= names_of(path)


@pytest.mark.parametrize("group", MEANT)
def test_what_another_tool_calls_it_leads_to_a_command_that_is_there(group: str) -> None:
    whole = root()
    below = whole.commands if not group else whole.commands[group].commands  # type: ignore[attr-defined]
    assert not MEANT[group].keys() & below.keys()
    for targets in MEANT[group].values():
        for target in targets:
            command: TyperCommand | TyperGroup = whole
            for word in target.split():
                if word.startswith("--"):
                    assert word in ("--help", "--version")
                elif isinstance(command, TyperGroup):
                    command = command.commands[word]


def test_what_another_tool_calls_an_option_leads_to_one_of_ours() -> None:
    every = {name for path in COMMANDS for name in names_of(path)}
    assert {target for targets in MEANT_OPTIONS.values() for target in targets} <= every
