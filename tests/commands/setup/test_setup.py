"""`reasoning setup`: the wizard, its flags, the agent's environment."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import socket
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reasoning_cli.commands.demo.synthetic_agent import agent_log, make_decisions
from reasoning_cli.operations.agents.env import is_gateway, why_not_free
from reasoning_cli.sandbox.server import SandboxServer
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.prompts import Choice
from tests.conftest import Run
from tests.waiting import PATIENCE_SECONDS

KEY = "tgp_v1_Jx7Qm2Vt9Zb4Wn1Lk6Rc3Yd8Fg5Hp0"
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens

Answer = str | bool | list[str] | BaseException | None


@dataclass
class Script:
    """A person who answers what was foreseen: each question holds the text written beside its answer.

    None takes what is offered.
    """

    lines: list[tuple[str, Answer]]
    offered: dict[str, object] = field(default_factory=dict)

    def _answer(self, question: str, offer: object) -> object:
        assert self.lines, f"nobody foresaw: {question}"
        expected, answer = self.lines.pop(0)
        assert expected in question
        self.offered[expected] = offer
        if isinstance(answer, BaseException):
            raise answer
        return offer if answer is None else answer

    def text(self, question: str, default: str = "") -> str:
        return str(self._answer(question, default))

    def secret(self, question: str) -> str:
        return str(self._answer(question, ""))

    def choose(self, question: str, choices: Sequence[Choice]) -> str:
        titles = {choice.title: choice.value for choice in choices}
        answer = self._answer(question, choices[0].title)
        return next(value for title, value in titles.items() if str(answer) in title)

    def tick(self, question: str, choices: Sequence[Choice]) -> list[str]:
        answer = self._answer(question, [choice.value for choice in choices if choice.ticked])
        assert isinstance(answer, list)
        assert set(answer) <= {choice.value for choice in choices}
        return answer

    def confirm(self, question: str, default: bool = False) -> bool:
        return bool(self._answer(question, default))


@dataclass
class Wizard:
    """The program with a person in front of it who follows a script."""

    run: Run
    facts: dict[str, object]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, script: Script, *arguments: str) -> tuple[int, str, str]:
        self.facts["prompter"] = script
        with self.monkeypatch.context() as patch:
            patch.setattr(Terminal, "can_ask", True)
            done = self.run("setup", *arguments)
        assert script.lines == []
        return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def wizard(reasoning: Run, session_facts: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> Wizard:
    return Wizard(reasoning, session_facts, monkeypatch)


@pytest.fixture
def file(home: Path) -> Path:
    return home / "config.toml"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """Something that answers as Together would; it accepts the key `sandbox-key` and no other."""
    with SandboxServer() as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        yield server


def rest(*changes: tuple[str, Answer], upto: str | None = None) -> list[tuple[str, Answer]]:
    """The questions after the key, answered with what is offered but for `changes`."""
    usual: dict[str, Answer] = {
        "Which decisions": None,
        "Model for should-respond": None,
        "Model for planning": None,
        "Model for coding": None,
        "Dollars a month": None,
        "how many minutes": None,
        "Which provider": None,
        "Write this": True,
    }
    answers = {**usual, **dict(changes)}
    names = list(usual)
    return [(name, answers[name]) for name in (names[: names.index(upto) + 1] if upto else names)]


def written(file: Path) -> dict[str, object]:
    tables = tomllib.loads(file.read_text())
    return {f"{group}.{key}": value for group, table in tables.items() for key, value in table.items()}


# --- the wizard ---


def test_the_answers_are_written_once_and_privately(wizard: Wizard, service: SandboxServer, file: Path) -> None:
    script = Script(
        [
            ("Together API key", "sandbox-key"),
            *rest(
                ("Which decisions", ["planning"]),
                ("Model for planning", "acme/planner"),
                ("Dollars a month", "$100"),
                ("how many minutes", "60"),
                ("Which provider", "Anthropic"),
            ),
        ]
    )
    script.lines = [line for line in script.lines if line[0] not in ("Model for should-respond", "Model for coding")]
    code, out, err = wizard(script)
    assert code == 0
    assert written(file) == {
        "together.api_key": "sandbox-key",
        "should_respond.enabled": False,
        "planning.enabled": True,
        "coding.enabled": False,
        "planning.model": "acme/planner",
        "budget.limit_usd": "$100",
        "deploy.idle_minutes": 60,
        "gateway.anthropic_upstream": "https://api.anthropic.com/v1",
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert out == (
        "export OPENAI_BASE_URL=http://127.0.0.1:8001/v1\nexport ANTHROPIC_BASE_URL=http://127.0.0.1:8001/v1\n"
    )
    assert f"{file} is written." in err
    assert "sandbox-key" not in out + err
    assert "reasoning doctor" in err


def test_what_is_offered_is_what_is_set_now(wizard: Wizard, reasoning: Run, service: SandboxServer, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(
        '# my agent\n[coding]\nenabled = false\n[planning]\nmodel = "acme/p"\n[budget]\nlimit_usd = "75.50"\n'
    )
    lines = [line for line in rest() if line[0] != "Model for coding"]
    script = Script([("Together API key", "sandbox-key"), *lines])
    assert wizard(script)[0] == 0
    assert script.offered["Which decisions"] == ["should_respond", "planning"]
    assert script.offered["Model for planning"] == "acme/p"
    assert script.offered["Dollars a month"] == "75.50"
    assert script.offered["how many minutes"] == "30"
    assert "# my agent" in file.read_text()
    assert reasoning("config", "get", "budget.limit_usd").stdout == "75.50\n"


def test_an_empty_budget_is_no_budget(wizard: Wizard, service: SandboxServer, file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[budget]\nlimit_usd = 75\n")
    assert wizard(Script([("Together API key", "sandbox-key"), *rest(("Dollars a month", ""))]))[0] == 0
    assert "budget.limit_usd" not in written(file)


def test_what_makes_no_sense_is_asked_again(wizard: Wizard, service: SandboxServer, file: Path) -> None:
    lines = [("Together API key", "sandbox-key"), *rest(("Dollars a month", "lots"), ("how many minutes", "5000"))]
    for after, again in (("Dollars a month", "20"), ("how many minutes", "45")):
        position = [name for name, _ in lines].index(after)
        lines.insert(position + 1, (after, again))
    code, _, err = wizard(Script(lines))
    assert (code, written(file)["budget.limit_usd"], written(file)["deploy.idle_minutes"]) == (0, "20", 45)
    assert "warning: `lots` is not an amount of dollars" in err
    assert "warning: `5000` is not between" in err


def test_a_refused_key_is_asked_for_again(wizard: Wizard, service: SandboxServer, file: Path) -> None:
    lines = [("Together API key", KEY), ("Together API key", "not a key"), ("Together API key", "sandbox-key"), *rest()]
    code, out, err = wizard(Script(lines))
    assert (code, written(file)["together.api_key"]) == (0, "sandbox-key")
    assert "warning: Together refuses the API key" in err
    assert "is not an API key" in err
    assert KEY not in out + err


def test_without_network_one_may_go_on_or_stop(wizard: Wizard, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_BASE_URL", NOWHERE)
    code, _, err = wizard(Script([("Together API key", KEY), ("unchecked", False)]))
    assert (code, file.exists()) == (7, False)
    assert "cannot reach Together" in err
    assert wizard(Script([("Together API key", KEY), ("unchecked", True), *rest()]))[0] == 0
    assert written(file)["together.api_key"] == KEY


def test_a_key_that_is_there_is_offered_masked_and_not_copied(
    wizard: Wizard, service: SandboxServer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "sandbox-key")
    assert wizard(Script([("Keep the key … of TOGETHER_API_KEY?", True), *rest()]))[0] == 0
    assert "together.api_key" not in written(file)


def test_a_new_key_that_a_variable_hides_is_told(
    wizard: Wizard, service: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    _, _, err = wizard(Script([("Keep the key …5Hp0", False), ("Together API key", "sandbox-key"), *rest()]))
    assert "warning: together.api_key: TOGETHER_API_KEY is set too, and wins over the file" in err


def test_the_key_may_wait(wizard: Wizard, file: Path) -> None:
    code, _, err = wizard(Script([("Together API key", ""), *rest()]))
    assert (code, "together.api_key" in written(file)) == (0, False)
    assert "`reasoning config set together.api_key`" in err


@pytest.mark.parametrize("stop_at", ["Together API key", "Model for planning", "Which provider", "Write this"])
def test_ctrl_c_before_the_end_leaves_nothing(stop_at: str, wizard: Wizard, service: SandboxServer, home: Path) -> None:
    lines: list[tuple[str, Answer]] = [("Together API key", "sandbox-key")]
    if stop_at == "Together API key":
        lines = [(stop_at, KeyboardInterrupt())]
    else:
        lines += rest((stop_at, KeyboardInterrupt()), upto=stop_at)
    code, out, err = wizard(Script(lines))
    assert (code, out, home.exists()) == (130, "", False)
    assert err.endswith("Interrupted. Nothing was written.\n")


def test_no_at_the_end_leaves_nothing(wizard: Wizard, service: SandboxServer, home: Path) -> None:
    code, out, err = wizard(Script([("Together API key", "sandbox-key"), *rest(("Write this", False))]))
    assert (code, out, home.exists()) == (1, "", False)
    assert err.endswith("Nothing was written.\n")


def test_what_the_flags_say_is_not_asked(wizard: Wizard, service: SandboxServer, file: Path) -> None:
    script = Script([("Together API key", "sandbox-key"), ("Model for coding", None), ("Write this", True)])
    arguments = ["--enable", "planning", "--enable", "coding", "--model", "planning=a/b", "--budget", "50"]
    code, _, _ = wizard(script, *arguments, "--idle-minutes", "0", "--openai-upstream", "https://openrouter.ai/api/v1")
    assert code == 0
    assert written(file)["planning.model"] == "a/b"
    assert written(file)["gateway.openai_upstream"] == "https://openrouter.ai/api/v1"


def test_the_gateway_is_not_its_own_provider(wizard: Wizard, service: SandboxServer, file: Path) -> None:
    lines = [("Together API key", "sandbox-key"), *rest(("Which provider", "like OpenAI"))]
    lines[-1:-1] = [("base address", "http://localhost:8001/v1"), ("base address", "https://openrouter.ai/api/v1")]
    code, _, err = wizard(Script(lines))
    assert (code, written(file)["gateway.openai_upstream"]) == (0, "https://openrouter.ai/api/v1")
    assert "its calls would come back to it" in err


def test_in_the_sandbox_no_key_is_asked_for(
    wizard: Wizard, reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONING_SANDBOX", "1")
    """Nor for a provider: what no model answers goes to the sandbox's stand-in."""
    asked = [one for one in rest() if one[0] != "Which provider"]
    assert wizard(Script(asked))[0] == 0
    assert [one.name for one in home.iterdir()] == ["sandbox"]
    assert "upstream" not in (home / "sandbox" / "config.toml").read_text()


# --- without a person ---


def test_without_a_terminal_the_flags_are_pointed_out(reasoning: Run, home: Path) -> None:
    done = reasoning("setup")
    assert (done.exit_code, done.stdout, home.exists()) == (2, "", False)
    assert "--non-interactive" in done.stderr


def test_flags_alone_are_enough(reasoning: Run, service: SandboxServer, file: Path) -> None:
    done = reasoning(
        *("setup", "--non-interactive", "--api-key-stdin", "--enable", "should-respond", "--enable", "PLANNING"),
        *("--model", "should_respond=acme/s", "--budget", "100", "--idle-minutes", "45", "--agent", "claude-code"),
        input="sandbox-key\n",
    )
    assert done.exit_code == 0
    assert written(file) == {
        "together.api_key": "sandbox-key",
        "should_respond.model": "acme/s",
        "should_respond.enabled": True,
        "planning.enabled": True,
        "coding.enabled": False,
        "budget.limit_usd": "100",
        "deploy.idle_minutes": 45,
    }
    assert done.stdout == "export ANTHROPIC_BASE_URL=http://127.0.0.1:8001\n"
    assert "The key … is accepted; its project is" in done.stderr
    assert done.stderr.endswith(
        "Next:\n"
        "  check all of it     `reasoning doctor`\n"
        "  start the gateway   `reasoning gateway serve`, then the agent with the lines above\n"
        "  import the past     `reasoning data import SOURCE`: what your agent decided already\n"
        "  see a price         `reasoning models deploy should-respond --dry-run`\n"
    )


def test_without_a_key_no_step_is_named_that_needs_one(reasoning: Run, file: Path) -> None:
    done = reasoning("setup", "--non-interactive", "--enable", "planning")
    steps = done.stderr.partition("Next:\n")[2]
    assert [line.partition("`")[0].strip() for line in steps.splitlines() if "`" in line] == [
        *("import the past", "learn a head of it", "check all of it", "start the gateway", "add a key", "see it first")
    ]
    assert steps.endswith("`reasoning --sandbox models deploy planning --dry-run`: free, no key needed\n"), steps
    assert "`reasoning models deploy" not in steps
    assert reasoning("models", "deploy", "planning", "--dry-run").exit_code == 4  # what would have been named


def test_without_an_account_the_steps_named_lead_to_something_real(
    reasoning: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a new user types in the first five minutes, with nobody to ask."""
    monkeypatch.setenv("TOGETHER_BASE_URL", NOWHERE)
    steps = reasoning("setup", "--non-interactive", "--openai-upstream", "https://api.openai.com/v1").stderr
    first, second = re.findall(r"`reasoning (data import|train start [^`]*)", steps)
    log = tmp_path / "logs.jsonl"
    log.write_text(agent_log(make_decisions(1600, planning=False, apart=True)), encoding="utf-8")
    taken_in = reasoning(*first.split(), log)
    assert (taken_in.exit_code, "1,600 added" in taken_in.stdout) == (0, True), taken_in
    found = reasoning(*second.split(), "--max-error", "5")
    assert found.exit_code == 0, found.stderr
    assert re.search(r"would answer \d+ % of decisions .*at most [34]\.\d % counted by rooms", found.stdout)
    compared = reasoning("costs", "compare", "should-respond", "--baseline", "gpt-4o")
    assert "→ The cheapest that may answer: head, then baseline" in compared.stdout
    assert compared.exit_code == 0


def test_without_what_trains_a_head_the_steps_say_how_to_get_it(
    reasoning: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    steps = reasoning("setup", "--non-interactive", "--enable", "planning").stderr.partition("Next:\n")[2]
    assert steps.startswith("  for a head, once     `pip install 'reasoning[head]'`\n"), steps


def test_a_key_that_is_refused_is_not_written(reasoning: Run, service: SandboxServer, file: Path) -> None:
    done = reasoning("setup", "--non-interactive", "--api-key-stdin", input=f"{KEY}\n")
    assert (done.exit_code, file.exists()) == (4, False)
    assert KEY not in done.stderr


def test_a_key_can_be_written_untried(reasoning: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_BASE_URL", NOWHERE)
    flags = ("setup", "--non-interactive", "--api-key-stdin")
    refused = reasoning(*flags, input=KEY)
    assert (refused.exit_code, file.exists()) == (7, False)
    assert "write the key down unchecked: the same command with `--offline`" in refused.stderr
    assert reasoning(*flags, "--offline", input=KEY).exit_code == 0
    assert written(file) == {"together.api_key": KEY}


@pytest.mark.parametrize(
    ("flags", "code", "complaint"),
    [
        (["--model", "planning"], 2, "`planning` names no model"),
        (["--model", "planing=a/b"], 2, "did you mean `planning`?"),
        (["--model", "planning="], 2, "is empty"),
        (["--enable", "all"], 2, "`all` is not a model type"),
        (["--budget", "lots"], 2, "`lots` is not an amount of dollars"),
        (["--idle-minutes", "5000"], 2, "`5000` is not between"),
        (["--openai-upstream", "openai.com"], 2, "is not an http:// or https:// address"),
        (["--anthropic-upstream", "http://127.0.0.1:8001"], 4, "its calls would come back to it"),
        (["--api-key-stdin"], 2, "is empty"),
    ],
)
def test_wrong_flags_write_nothing(flags: list[str], code: int, complaint: str, reasoning: Run, home: Path) -> None:
    done = reasoning("setup", "--non-interactive", *flags)
    assert (done.exit_code, done.stdout, home.exists()) == (code, "", False)
    assert complaint in done.stderr


# --- env ---


@pytest.mark.parametrize(
    ("agent", "lines"),
    [
        ("elizaos", ["OPENAI_BASE_URL=http://127.0.0.1:9000/v1", "ANTHROPIC_BASE_URL=http://127.0.0.1:9000/v1"]),
        ("claude-code", ["ANTHROPIC_BASE_URL=http://127.0.0.1:9000"]),
        ("anthropic", ["ANTHROPIC_BASE_URL=http://127.0.0.1:9000"]),
        ("openai", ["OPENAI_BASE_URL=http://127.0.0.1:9000/v1"]),
        ("eliza", ["OPENAI_BASE_URL=http://127.0.0.1:9000/v1", "ANTHROPIC_BASE_URL=http://127.0.0.1:9000/v1"]),
        ("eliza-py", ["OPENAI_BASE_URL=http://127.0.0.1:9000/v1"]),
        ("codex", []),
    ],
)
def test_each_agent_gets_the_base_address_it_builds_on(
    agent: str, lines: list[str], reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONING_GATEWAY_PORT", "9000")
    done = reasoning("setup", "env", "--agent", agent)
    assert (done.exit_code, done.stdout.splitlines()) == (0, [f"export {line}" for line in lines])
    assert ("plugin-anthropic 1.0.x ignores ANTHROPIC_BASE_URL" in done.stderr) == (agent in ("elizaos", "eliza"))
    line = 'openai_base_url = "http://127.0.0.1:9000/v1"'  # Codex takes no address from its environment
    assert (line in done.stderr) == (agent == "codex")
    assert ("reasoning_plugin() of reasoning_cli.elizaos" in done.stderr) == (agent == "eliza-py")
    assert "No gateway runs on port" in done.stderr
    as_json = json.loads(reasoning("setup", "env", "--agent", agent, "--json").stdout)
    assert as_json == dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("command", [("setup", "env"), ("gateway", "env")])
def test_opencode_gets_a_configuration_that_a_shell_leaves_whole(command: tuple[str, str], reasoning: Run) -> None:
    lines = reasoning(*command, "--agent", "opencode").stdout
    code = "import os; print(os.environ['OPENCODE_CONFIG_CONTENT'])"
    asked = ["sh", "-c", f'eval "$1"; "{sys.executable}" -c "{code}"', "sh", lines]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    here = {"options": {"baseURL": "http://127.0.0.1:8001/v1"}}
    assert json.loads(done.stdout) == {"provider": {"openai": here, "anthropic": here}}


@pytest.mark.parametrize("group", ["setup", "gateway"])
@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
def test_what_the_shell_starts_afterwards_has_the_variables(shell: str, group: str, reasoning: Run) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    syntax = "fish" if shell == "fish" else "sh"
    lines = reasoning(group, "env", "--agent", "openai", "--shell", syntax).stdout
    child = "import os; print(os.environ.get('OPENAI_BASE_URL'))"
    done = subprocess.run([shell, "-c", f'{lines}\n{sys.executable} -c "{child}"'], capture_output=True, text=True)
    assert done.stdout == "http://127.0.0.1:8001/v1\n"


def test_both_commands_say_the_same(reasoning: Run) -> None:
    assert reasoning("gateway", "env", "--port", "9000") == reasoning("setup", "env", "--port", "9000")


def test_lines_for_dotenv(reasoning: Run) -> None:
    done = reasoning("gateway", "env", "--agent", "openai", "--shell", "dotenv")
    assert done.stdout == "OPENAI_BASE_URL=http://127.0.0.1:8001/v1\n"


@pytest.mark.parametrize(
    ("url", "circle"),
    [
        ("http://127.0.0.1:8001/v1", True),
        ("http://localhost:8001", True),
        ("http://[::1]:8001/v1", True),
        ("http://0.0.0.0:8001", True),
        ("http://127.0.0.1:8002/v1", False),
        ("https://api.openai.com:8001/v1", False),
        ("https://localhost/v1", False),
        ("http://localhost:port", False),
        ("http://[bad", False),
    ],
)
def test_an_upstream_that_is_the_gateway_is_recognised(url: str, circle: bool) -> None:
    assert is_gateway(url, 8001) is circle


def test_a_port_is_free_or_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert why_not_free(port) == "taken by another program"
    assert why_not_free(port) is None


# --- with real keys on a real terminal ---


class Keyboard:
    """A program on a pseudo-terminal of its own, its stdout in a file."""

    def __init__(self, *arguments: str) -> None:
        self.terminal, end = pty.openpty()
        with Path("stdout").open("wb") as out:
            command = [sys.executable, "-m", "reasoning_cli", *arguments]
            self.process = subprocess.Popen(command, stdin=end, stdout=out, stderr=end, start_new_session=True)
        os.close(end)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Read until `text` has come; what came before it is forgotten."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come, but: {self.seen}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.seen += os.read(self.terminal, 65536).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def end(self) -> int:
        """The exit code; what is still drawn is read away."""
        while True:
            try:
                if not os.read(self.terminal, 65536):
                    break
            except OSError:  # the program is gone, and its side of the terminal with it
                break
        os.close(self.terminal)
        return self.process.wait(60)


@pytest.fixture
def terminal_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")  # it would wait for a terminal that tells where its cursor is


def test_a_person_at_a_terminal(service: SandboxServer, file: Path, terminal_variables: None) -> None:
    person = Keyboard("setup", "--agent", "openai")
    person.wait_for("Between an agent and its provider stands reasoning.")
    person.wait_for("A few questions follow.")
    person.wait_for("Together API key")
    person.type("sandbox-key\r")
    person.wait_for("Which decisions")
    person.type("\r")
    for model_type in ("should-respond", "planning", "coding"):
        person.wait_for(f"Model for {model_type}")
        person.type("\r")
    person.wait_for("Dollars a month")
    person.type("100\r")
    person.wait_for("how many minutes")
    person.type("\r")
    person.wait_for("Which provider")
    person.type("\r")
    person.wait_for("Write this to")
    person.type("y")
    person.wait_for("Next:")
    assert person.end() == 0
    assert Path("stdout").read_text() == "export OPENAI_BASE_URL=http://127.0.0.1:8001/v1\n"
    assert written(file)["budget.limit_usd"] == "100"


def test_a_person_who_changes_their_mind(service: SandboxServer, home: Path, terminal_variables: None) -> None:
    person = Keyboard("setup")
    person.wait_for("Together API key")
    person.type("\x03")
    assert person.end() == 130
    assert (Path("stdout").read_text(), home.exists()) == ("", False)
