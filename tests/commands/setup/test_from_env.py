"""`reasoning setup --from-env`: what becomes of the variables of the original plugin."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest

from reasoning_cli import settings as s
from tests.conftest import Run

KEY = "tgp_v1_Jx7Qm2Vt9Zb4Wn1Lk6Rc3Yd8Fg5Hp0"
OTHER = "tgp_v1_Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj0"

ORIGINAL = f"""\
# ElizaOS
OPENAI_API_KEY=sk-proj-abcdefghijklmnopqrstuvwxyz
DISCORD_API_TOKEN="abc"

CUSTOM_REASONING_ENABLED=true
TOGETHER_AI_API_KEY={KEY}
TOGETHER_AI_BASE_URL=https://api.together.xyz/v1
CUSTOM_REASONING_SHOULD_RESPOND_ENABLED=true
REASONING_SERVICE_PLANNING_ENABLED=false
export REASONING_SERVICE_PLANNING_MODEL='acme/planner'
CUSTOM_REASONING_BUDGET_LIMIT=100 # dollars
REASONING_SERVICE_BUDGET_LIMIT=200
CUSTOM_REASONING_AUTO_SHUTDOWN_MINUTES=45
CUSTOM_REASONING_MAX_SAMPLES_PER_MODEL=10000
CUSTOM_REASONING_RETENTION_DAYS=
ANTHROPIC_PROXY_ENABLED=true
ANTHROPIC_PROXY_PORT=9001
ANTHROPIC_BASE_URL=http://localhost:9001
"""

TAKEN = {
    "together": {"api_key": KEY},
    "planning": {"model": "acme/planner", "enabled": False},
    "budget": {"limit_usd": "100"},
    "deploy": {"idle_minutes": 45},
    "data": {"max_samples_per_type": 10000},
    "gateway": {"port": 9001},
}


@pytest.fixture
def file(home: Path) -> Path:
    return home / "config.toml"


def env(text: str) -> Path:
    path = Path("agent.env")
    path.write_text(text)
    return path


def outcomes(reasoning: Run, text: str, *more: str) -> dict[str, dict[str, str]]:
    done = reasoning("setup", "--from-env", env(text), "--json", *more)
    return {one["name"]: one for one in json.loads(done.stdout)}


def test_a_whole_file_is_taken_over_at_once_and_privately(
    reasoning: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = reasoning("setup", "--from-env", env(ORIGINAL))
    assert done.exit_code == 0, done.stderr
    assert tomllib.loads(file.read_text()) == TAKEN
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert done.stdout.splitlines() == [
        "none  CUSTOM_REASONING_ENABLED has no effect here: each model type has a switch of its own",
        "set   TOGETHER_AI_API_KEY: together.api_key becomes …5Hp0",
        "none  TOGETHER_AI_BASE_URL has no effect here: it was the original's default;"
        " Together is at https://api.together.ai",
        "same  CUSTOM_REASONING_SHOULD_RESPOND_ENABLED: should_respond.enabled is true already",
        "set   REASONING_SERVICE_PLANNING_ENABLED: planning.enabled becomes false, was true",
        "set   REASONING_SERVICE_PLANNING_MODEL: planning.model becomes acme/planner,"
        " was moonmakesmagic/DeepSeek-Qwen-14B-planning",
        "set   CUSTOM_REASONING_BUDGET_LIMIT: budget.limit_usd becomes 100",
        "none  REASONING_SERVICE_BUDGET_LIMIT has no effect here: CUSTOM_REASONING_BUDGET_LIMIT wins",
        "set   CUSTOM_REASONING_AUTO_SHUTDOWN_MINUTES: deploy.idle_minutes becomes 45, was 30",
        "set   CUSTOM_REASONING_MAX_SAMPLES_PER_MODEL: data.max_samples_per_type becomes 10000",
        "none  CUSTOM_REASONING_RETENTION_DAYS has no effect here: it is empty",
        "same  ANTHROPIC_PROXY_ENABLED: gateway.enabled is true already",
        "set   ANTHROPIC_PROXY_PORT: gateway.port becomes 9001, was 8001",
        "none  ANTHROPIC_BASE_URL has no effect here: it leads to the gateway, as it should;"
        " whom the agent called before, `reasoning setup` asks",
    ]
    assert "2 other variables are not for this program.\n" in done.stderr
    assert f"{file} is written.\n" in done.stderr


def test_the_second_time_there_is_nothing_to_do(reasoning: Run, file: Path) -> None:
    reasoning("setup", "--from-env", env(ORIGINAL))
    before = file.stat()
    done = reasoning("setup", "--from-env", env(ORIGINAL))
    assert (done.exit_code, "\nset " in done.stdout, file.stat()) == (0, False, before)
    assert "Nothing was written." in done.stderr


@pytest.mark.parametrize("more", [(), ("--json",), ("--dry-run",), ("--dry-run", "--json")])
def test_no_key_is_ever_printed(more: tuple[str, ...], reasoning: Run) -> None:
    pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ==\n"
    wrong = f"TOGETHER_API_KEY='{OTHER} '\n"
    done = reasoning("setup", "--from-env", env(ORIGINAL + pem + wrong), *more)
    assert done.exit_code == 0
    for secret in (KEY, OTHER, "sk-proj", "abcdefghij", "MIIEvQ"):
        assert secret not in done.stdout + done.stderr


def test_a_dry_run_shows_the_same_and_writes_nothing(reasoning: Run, home: Path) -> None:
    dry = reasoning("setup", "--from-env", env(ORIGINAL), "--dry-run")
    assert (dry.exit_code, home.exists()) == (0, False)
    assert reasoning("setup", "--from-env", env(ORIGINAL)).stdout == dry.stdout


def test_one_wrong_value_keeps_all_from_being_written(reasoning: Run, home: Path, file: Path) -> None:
    text = ORIGINAL.replace("MINUTES=45", "MINUTES=lots").replace("PORT=9001", "PORT=0")
    for more in ((), ("--dry-run",)):
        done = reasoning("setup", "--from-env", env(text), *more)
        assert (done.exit_code, home.exists()) == (1, False)
        assert "wrong CUSTOM_REASONING_AUTO_SHUTDOWN_MINUTES: `lots` is not a whole number\n" in done.stdout
        assert "error: 2 variables make no sense: CUSTOM_REASONING_AUTO_SHUTDOWN_MINUTES, ANTHROPIC" in done.stderr
        assert "--force" in done.stderr
    assert reasoning("setup", "--from-env", env(text), "--force").exit_code == 0
    assert tomllib.loads(file.read_text()) == {
        **{group: values for group, values in TAKEN.items() if group not in ("deploy", "gateway")},
        "gateway": {"anthropic_upstream": "http://localhost:9001/v1"},
    }


def test_a_key_that_is_set_already_is_not_replaced_unasked(reasoning: Run, file: Path) -> None:
    reasoning("config", "set", "together.api_key", "--stdin", input=OTHER)
    found = outcomes(reasoning, f"TOGETHER_API_KEY={KEY}\n")["TOGETHER_API_KEY"]
    assert (found["fate"], "config set-key" in found["why"]) == ("no_effect", True)
    assert tomllib.loads(file.read_text()) == {"together": {"api_key": OTHER}}


def test_comments_and_other_settings_stay(reasoning: Run, file: Path) -> None:
    file.parent.mkdir()
    file.write_text("# mine\n[budget]\nlimit_usd = 5 # low\nreserve_hours = 2\n")
    assert outcomes(reasoning, "CUSTOM_REASONING_BUDGET_LIMIT=100")["CUSTOM_REASONING_BUDGET_LIMIT"]["before"] == "5.00"
    assert file.read_text() == '# mine\n[budget]\nlimit_usd = "100" # low\nreserve_hours = 2\n'


@pytest.mark.parametrize(
    ("line", "setting", "value"),
    [
        ("ANTHROPIC_BASE_URL=https://api.anthropic.com", "gateway.anthropic_upstream", None),
        ("ANTHROPIC_BASE_URL=https://relay.example/", "gateway.anthropic_upstream", "https://relay.example/v1"),
        ("ANTHROPIC_BASE_URL=https://relay.example/v1", "gateway.anthropic_upstream", "https://relay.example/v1"),
        ("OPENAI_BASE_URL=https://openrouter.ai/api/v1", "gateway.openai_upstream", "https://openrouter.ai/api/v1"),
        ("TOGETHER_AI_BASE_URL=https://proxy.example/v1", "together.base_url", "https://proxy.example"),
        ("REASONING_SERVICE_MAX_COST_PER_HOUR=$10", "budget.max_cost_per_hour_usd", "10.00"),
    ],
)
def test_addresses_and_amounts_are_read_as_here(line: str, setting: str, value: str | None, reasoning: Run) -> None:
    (found,) = outcomes(reasoning, line).values()
    assert (found["setting"], found["fate"]) == (setting, "same" if value is None else "set")
    assert reasoning("config", "get", setting).stdout.strip() == (value or s.spell(s.BY_NAME[setting].default))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("CUSTOM_REASONING_BUDGET_LIMIT=0", "0 meant no limit"),
        ("CUSTOM_REASONING_BUDGET_LIMITS=5", "CUSTOM_REASONING_BUDGET_LIMIT is meant"),
        ("REASONING_SERVICE_SOMETHING=5", "no setting is read from it"),
        ("MODEL_PRICING_OVERRIDES={}", "prices are asked of Together"),
        ("REASONING_HOME=/srv", "export it"),
        ("REASONING_SANDBOX=1", "`reasoning --sandbox`"),
        ("OPENAI_BASE_URL=http://127.0.0.1:8001/v1", "it leads to the gateway"),
    ],
)
def test_what_becomes_nothing_says_why(line: str, why: str, reasoning: Run, home: Path) -> None:
    (found,) = outcomes(reasoning, line).values()
    assert (found["fate"], why in found["why"], home.exists()) == ("no_effect", True, False)


@pytest.mark.parametrize("setting", s.ALL, ids=lambda setting: setting.name)
def test_every_variable_that_is_read_is_taken_over(setting: s.Setting[object], reasoning: Run) -> None:
    from tests.test_settings import TEXTS

    for name in setting.variables:
        texts = [text for text in TEXTS[setting.name] if setting.parse(text) != setting.default]
        text = (texts or TEXTS[setting.name])[0]
        found = outcomes(reasoning, f"{name}={text}", "--dry-run")[name]
        expected = "no_effect" if setting.name.startswith("sandbox.") or setting.of_operator else "set"
        assert (found["fate"], found["setting"]) == (expected, setting.name if expected == "set" else None)


def test_a_gateway_that_would_call_itself_is_wrong(reasoning: Run) -> None:
    text = "ANTHROPIC_PROXY_PORT=9001\nREASONING_GATEWAY_OPENAI_UPSTREAM=http://localhost:9001/v1\n"
    assert outcomes(reasoning, text)["REASONING_GATEWAY_OPENAI_UPSTREAM"]["fate"] == "wrong"


def test_a_file_that_goes_on_being_read_is_told(reasoning: Run) -> None:
    Path(".env").write_text("CUSTOM_REASONING_BUDGET_LIMIT=100\n")
    done = reasoning("setup", "--from-env", ".env")
    assert (
        "warning: set as variables too, which win over the file: CUSTOM_REASONING_BUDGET_LIMIT in .env" in done.stderr
    )


def test_a_profile_and_the_sandbox_take_it_into_their_own_files(reasoning: Run, home: Path) -> None:
    assert reasoning("--profile", "berlin", "setup", "--from-env", env(ORIGINAL)).exit_code == 0
    assert tomllib.loads((home / "profiles" / "berlin" / "config.toml").read_text()) == TAKEN
    done = reasoning(
        "--sandbox", "setup", "--from-env", env(f"{ORIGINAL}\nOPENAI_BASE_URL=https://openrouter.ai/api/v1\n")
    )
    assert done.exit_code == 0
    assert "the sandbox has a stand-in for the provider" in " ".join(done.stdout.split())
    rehearsed = tomllib.loads((home / "sandbox" / "config.toml").read_text())
    assert rehearsed == {group: values for group, values in TAKEN.items() if group != "together"}


def test_a_file_that_is_not_there_is_not_found(reasoning: Run) -> None:
    assert reasoning("setup", "--from-env", "nowhere.env").exit_code == 5
    assert reasoning("setup", "--from-env", ".").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [("--from-env", "x.env", "--budget", "5"), ("--from-env", "x.env", "--api-key-stdin"), ("--dry-run",), ("--json",)],
)
def test_options_that_do_not_go_together_are_a_usage_error(arguments: tuple[str, ...], reasoning: Run) -> None:
    assert reasoning("setup", *arguments).exit_code == 2


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_every_word_is_there_at_every_width(columns: int, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = " ".join(reasoning("setup", "--from-env", env(ORIGINAL), "--dry-run").stdout.split())
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = reasoning("setup", "--from-env", env(ORIGINAL), "--dry-run").stdout.splitlines()
    assert " ".join(" ".join(lines).split()) == words
    assert all(len(line) <= columns or len(line.split()) <= 2 for line in lines)
