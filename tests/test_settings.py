"""Where a setting's value comes from, what a wrong one says, and that the settings file survives being changed."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError, UsageError
from reasoning_cli.paths import Paths, find_paths
from reasoning_cli.settings import Settings, Source, load_settings, read_settings, write_setting, write_settings
from reasoning_cli.settings_file import change_file, read_file, read_text

# For every setting: a text somebody may write, and another that means something else.
TEXTS: dict[str, tuple[str, str]] = {
    "together.api_key": ("tgp_v1_aaaaaaaaaaaaaaaaaaaa", "tgp_v1_bbbbbbbbbbbbbbbbbbbb"),
    "together.base_url": ("https://one.example/v1", "https://two.example"),
    "together.project_id": ("proj_1", "proj_2"),
    **{f"{one}.model": ("acme/one", "acme/two") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.enabled": ("false", "true") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.idle_minutes": ("10", "0") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.hours": ("18:00-23:00", "22:00-06:00") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.mode": ("shadow", "canary") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.wake": ("true", "false") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.share_percent": ("5", "50") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.deadline_ms": ("2000", "8500") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.max_tokens": ("64", "1000") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.window_tokens": ("4096", "8192") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.prompt_form": ("compact", "exact") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.confidence": ("0.5", "1") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.tools": ("true", "false") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.collect": ("false", "true") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.engine": ("together", "openai") for one in ("should_respond", "planning", "coding")},
    **{
        f"{one}.provider_url": ("http://localhost:8000/v1", "http://localhost:11434/v1")
        for one in ("should_respond", "planning", "coding")
    },
    **{f"{one}.parallel": ("1", "8") for one in ("should_respond", "planning", "coding")},
    **{f"{one}.token_price": ("free", "0.20/0.60") for one in ("should_respond", "planning", "coding")},
    "should_respond.line": ("head", "head, openai"),
    "should_respond.head": ("first", "head/second"),
    "should_respond.head_mode": ("live", "canary"),
    "should_respond.head_percent": ("5", "50"),
    "should_respond.audit_percent": ("2", "10"),
    **{
        f"{one}.max_tokens_name": ("max_completion_tokens", "max_tokens")
        for one in ("should_respond", "planning", "coding")
    },
    **{f"{one}.provider_key": ("local-key-one", "local-key-two") for one in ("should_respond", "planning", "coding")},
    "gateway.enabled": ("false", "true"),
    "gateway.host": ("0.0.0.0", "::1"),
    "gateway.hosts": ("host.docker.internal", "gateway,::1"),
    "gateway.tls_cert": ("~/certificate.pem", "/srv/certificate.pem"),
    "gateway.tls_key": ("~/key.pem", "/srv/key.pem"),
    "gateway.token": ("gateway-token-one", "gateway-token-two"),
    "guard.interval_seconds": ("30", "120"),
    "guard.webhook_url": ("https://hooks.example/one", "https://hooks.example/two"),
    **{f"{one}.budget_usd": ("20", "3.50") for one in ("should_respond", "planning", "coding")},
    "budget.limit_usd": ("$1,250", "12.50"),
    "budget.period": ("day", "total"),
    "budget.warn_percent": ("50", "90"),
    "budget.max_cost_per_hour_usd": ("7", "8.25"),
    "budget.reserve_hours": ("2", "0.5"),
    "deploy.idle_minutes": ("0", "45"),
    "deploy.timeout_minutes": ("10", "20"),
    "deploy.poll_seconds": ("0.5", "10"),
    "store.path": ("~/one.db", "/srv/two.db"),
    "store.url": ("postgresql://ann@db/x", "postgresql://bob:secret@127.0.0.1:5433/y?sslmode=require"),
    "store.schema": ("reasoning_a", "b"),
    "store.spool_mb": ("64", "0"),
    "data.collect": ("no", "yes"),
    "data.retention_days": ("7", "90"),
    "data.max_samples_per_type": ("500", "20000"),
    "data.guard_cleanup": ("true", "false"),
    "data.redact_on_write": ("true", "false"),
    "gateway.port": ("9000", "9001"),
    "gateway.openai_upstream": ("https://openrouter.ai/api/v1/", "https://api.openai.com/v1"),
    "gateway.anthropic_upstream": ("http://127.0.0.1:4000/v1", "https://api.anthropic.com/v1"),
    "network.allow_plain_http": ("true", "false"),
    "sandbox.enabled": ("off", "false"),
    "sandbox.speed": ("600x", "1"),
}

# The variables of the original plugin and of Together's own tools, and the setting each is.
OTHER_VARIABLES = {
    "TOGETHER_API_KEY": "together.api_key",
    "TOGETHER_AI_API_KEY": "together.api_key",
    "TOGETHER_BASE_URL": "together.base_url",
    "TOGETHER_AI_BASE_URL": "together.base_url",
    "TOGETHER_PROJECT_ID": "together.project_id",
    "AUTO_SHUTDOWN_IDLE_MINUTES": "deploy.idle_minutes",
    "TRAINING_DATA_COLLECTION": "data.collect",
    "ANTHROPIC_PROXY_PORT": "gateway.port",
    "ANTHROPIC_PROXY_ENABLED": "gateway.enabled",
    "REASONING_ALLOW_PLAIN_HTTP": "network.allow_plain_http",
    "REASONING_SANDBOX": "sandbox.enabled",
    **{
        f"{family}_{suffix}": name
        for family in ("CUSTOM_REASONING", "REASONING_SERVICE")
        for suffix, name in {
            "SHOULD_RESPOND_MODEL": "should_respond.model",
            "SHOULD_RESPOND_ENABLED": "should_respond.enabled",
            "PLANNING_MODEL": "planning.model",
            "PLANNING_ENABLED": "planning.enabled",
            "CODING_MODEL": "coding.model",
            "CODING_ENABLED": "coding.enabled",
            "BUDGET_LIMIT": "budget.limit_usd",
            "MAX_COST_PER_HOUR": "budget.max_cost_per_hour_usd",
            "AUTO_SHUTDOWN_MINUTES": "deploy.idle_minutes",
            "COLLECT_TRAINING_DATA": "data.collect",
            "RETENTION_DAYS": "data.retention_days",
            "MAX_SAMPLES_PER_MODEL": "data.max_samples_per_type",
        }.items()
    },
}

every_setting = pytest.mark.parametrize("setting", s.ALL, ids=lambda setting: setting.name)


@pytest.fixture
def paths(home: Path) -> Paths:
    return find_paths({"REASONING_HOME": str(home)})


def write_file(paths: Paths, text: str) -> None:
    paths.config_file.parent.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(text)


def toml(name: str, value: str) -> str:
    group, _, key = name.partition(".")
    return f'[{group}]\n{key} = "{value}"\n'


# --- sources ---


def test_every_setting_has_texts_here() -> None:
    assert set(TEXTS) == {setting.name for setting in s.ALL}


@every_setting
def test_no_source_is_the_default(setting: s.Setting[object], paths: Paths) -> None:
    resolved = load_settings(paths, {}).resolve(setting)
    assert (resolved.value, resolved.source, resolved.where) == (setting.default, Source.DEFAULT, "")


@every_setting
def test_each_stronger_source_hides_the_weaker(setting: s.Setting[object], paths: Paths) -> None:
    low, high = TEXTS[setting.name]
    variable = setting.variables[0]
    write_file(paths, toml(setting.name, low))

    def resolved(environ: dict[str, str], flags: dict[str, str]) -> tuple[object, Source, str]:
        found = load_settings(paths, environ, flags).resolve(setting)
        return found.value, found.source, found.where

    assert resolved({}, {}) == (setting.parse(low), Source.FILE, str(paths.config_file))
    Path(".env").write_text(f"{variable}={high}\n")
    if isinstance(setting.carries, str):
        with pytest.raises(s.RefusedAddressError, match=f"^{variable} in .env"):
            resolved({}, {})
    elif setting.of_operator:
        assert resolved({}, {}) == (setting.parse(low), Source.FILE, str(paths.config_file))
    else:
        assert resolved({}, {}) == (setting.parse(high), Source.DOTENV, f"{variable} in .env")
    assert resolved({variable: low}, {}) == (setting.parse(low), Source.ENVIRONMENT, variable)
    assert resolved({variable: low}, {setting.name: high}) == (setting.parse(high), Source.FLAG, "command line")


@every_setting
def test_every_variable_of_a_setting_is_read_in_order(setting: s.Setting[object], paths: Paths) -> None:
    winner, loser = TEXTS[setting.name]
    for strong, weak in zip(setting.variables, (*setting.variables[1:], "UNRELATED"), strict=True):
        found = load_settings(paths, {strong: winner, weak: loser}).resolve(setting)
        assert (found.value, found.source, found.where) == (setting.parse(winner), Source.ENVIRONMENT, strong)
        found = load_settings(paths, {strong: "  ", weak: loser}).resolve(setting)
        assert (found.source is Source.DEFAULT) == (weak == "UNRELATED")


def test_the_variables_of_the_original_are_all_read() -> None:
    read = {name: setting.name for setting in s.ALL for name in setting.variables[1:]}
    assert read == OTHER_VARIABLES


def test_the_first_of_the_two_families_wins(paths: Paths) -> None:
    environ = {"REASONING_SERVICE_BUDGET_LIMIT": "10", "CUSTOM_REASONING_BUDGET_LIMIT": "20"}
    assert load_settings(paths, environ).get(s.BUDGET_LIMIT) == Decimal("20.00")
    assert load_settings(paths, {**environ, "REASONING_BUDGET_LIMIT_USD": "5"}).get(s.BUDGET_LIMIT) == Decimal("5.00")


@pytest.mark.parametrize("name", s.BY_NAME)
def test_a_setting_is_found_by_either_spelling(name: str) -> None:
    assert s.find_setting(name.replace("_", "-").upper()).name == name


def test_a_mistyped_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="is not a setting") as caught:
        s.find_setting("gatway.port")
    assert caught.value.hint == "did you mean `gateway.port`?"


def test_a_section_is_answered_with_its_settings() -> None:
    with pytest.raises(UsageError) as caught:
        s.find_setting("budget")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("there are `budget.limit_usd`, ")


# --- values ---


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("gateway.port", "80a", "is not a whole number"),
        ("gateway.port", "70000", "is not between 1 and 65535"),
        ("deploy.idle_minutes", "1441", "is not between 0 and 1440"),
        ("data.collect", "maybe", "is neither true nor false"),
        ("budget.limit_usd", "12.345", "has more than two decimals"),
        ("budget.limit_usd", "-1", "is not more than zero"),
        ("budget.limit_usd", "nan", "is not an amount between"),
        ("budget.limit_usd", "ten", "is not an amount of dollars"),
        ("together.base_url", "api.together.ai", "is not an http:// or https:// address"),
        ("sandbox.speed", "fast", "is not a speed like 60x"),
        ("together.project_id", "\udcff", "is not valid text"),
    ],
)
def test_a_wrong_value_names_its_place_and_says_why(name: str, text: str, reason: str, paths: Paths) -> None:
    setting = s.BY_NAME[name]
    settings = Settings(paths, environ={setting.variables[0]: text})
    with pytest.raises(ConfigurationError) as caught:
        settings.get(setting)
    assert caught.value.message.startswith(f"{setting.variables[0]}: `{text}` {reason}")
    assert caught.value.hint == f"{name}: {setting.help}"


@pytest.mark.parametrize(
    "key", ["tgp_v1_abcdefghijk lmnop", "…abcdefghijklmnop", "'tgp_v1_abcdefghijklmnop'", "a\x07b"]
)
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(key: str, paths: Paths) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(paths, environ={"TOGETHER_API_KEY": key}).get(s.API_KEY)
    assert key not in caught.value.message


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("YES", True), ("on", True), ("False", False), ("0", False)]
)
def test_booleans_are_read_in_any_spelling(text: str, value: bool, paths: Paths) -> None:
    assert load_settings(paths, {"REASONING_DATA_COLLECT": text}).get(s.COLLECT) is value


# --- .env ---


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("REASONING_PLANNING_MODEL=acme/one", "acme/one"),
        ("export REASONING_PLANNING_MODEL=acme/one", "acme/one"),
        ("  REASONING_PLANNING_MODEL = acme/one  ", "acme/one"),
        ('REASONING_PLANNING_MODEL="acme/one" # the new one', "acme/one"),
        ("REASONING_PLANNING_MODEL='acme # one'", "acme # one"),
        ("REASONING_PLANNING_MODEL=acme/one # the new one", "acme/one"),
        ("REASONING_PLANNING_MODEL=acme/one#2", "acme/one"),
        ("REASONING_PLANNING_MODEL=a=b", "a=b"),
        ("\ufeffREASONING_PLANNING_MODEL=acme/one\r", "acme/one"),
        ("# REASONING_PLANNING_MODEL=acme/one", None),
        ("REASONING_PLANNING_MODEL=", None),
        ("REASONING_PLANNING_MODEL=   # acme/one", None),
        ("export\tREASONING_PLANNING_MODEL=`acme/one`\t# the new one", "acme/one"),
        ('PRIVATE_KEY="-----BEGIN\nREASONING_PLANNING_MODEL=acme/one\n-----END"', None),
        ("NOTE=`\nREASONING_PLANNING_MODEL=acme/one`", None),
        ("NOTE=one\x85REASONING_PLANNING_MODEL=acme/one", None),
        ("NOTE=one\u2028REASONING_PLANNING_MODEL=acme/one", None),
        ("just some words", None),
    ],
)
def test_lines_of_dotenv(line: str, value: str | None, paths: Paths) -> None:
    Path(".env").write_text(f"{line}\nOTHER=1\n", encoding="utf-8")
    found = load_settings(paths, {}).resolve(s.MODEL["planning"])
    assert (found.value if found.source is Source.DOTENV else None) == value


def test_a_dotenv_that_is_no_text_is_read_as_far_as_it_goes(paths: Paths) -> None:
    Path(".env").write_bytes(b"JUNK=\xff\xfe\nREASONING_GATEWAY_PORT=9000\n")
    assert load_settings(paths, {}).get(s.GATEWAY_PORT) == 9000


# --- the file ---


@pytest.mark.parametrize(
    ("text", "name", "meant"),
    [
        ("[budget]\nlimit = 100\n", "budget.limit", "budget.limit_usd"),
        ("[budgt]\nlimit_usd = 100\n", "budgt.limit_usd", "budget.limit_usd"),
        ("[gateway]\nprot = 1\n", "gateway.prot", "gateway.port"),
        ("port = 1\n", "port", None),
    ],
)
def test_a_mistyped_name_in_the_file_is_no_silence(text: str, name: str, meant: str | None, paths: Paths) -> None:
    write_file(paths, text)
    with pytest.raises(ConfigurationError, match="is not a setting") as caught:
        load_settings(paths, {})
    assert f"`{name}`" in caught.value.message
    assert f"`reasoning config unset {name}`" in str(caught.value.hint)
    if meant:
        assert f"did you mean `{meant}`?" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[gateway\nport = 1", "is not valid TOML"),
        (b"[gateway]\nport = \xff", "is not valid TOML"),
        (b"[gateway]\nport = [1, 2]\n", "must be a single value"),
        (b"[gateway.port]\nnumber = 1\n", "must be a single value"),
    ],
)
def test_a_broken_file_is_explained_and_can_still_be_shown(content: bytes, complaint: str, paths: Paths) -> None:
    write_file(paths, "")
    paths.config_file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=complaint):
        load_settings(paths, {})
    shown = read_settings(paths, {"REASONING_GATEWAY_PORT": "9000"})
    assert (len(shown.problems), shown.get(s.GATEWAY_PORT)) == (1, 9000)


def test_a_file_that_is_a_folder_is_explained(paths: Paths) -> None:
    paths.config_file.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_settings(paths, {})


def test_numbers_and_switches_may_be_written_bare_in_the_file(paths: Paths) -> None:
    write_file(paths, "[budget]\nlimit_usd = 12.50\n[gateway]\nport = 9000\n[data]\ncollect = false\n")
    settings = load_settings(paths, {})
    found = [settings.get(one) for one in (s.BUDGET_LIMIT, s.GATEWAY_PORT, s.COLLECT)]
    assert found == [Decimal("12.50"), 9000, False]


def test_all_that_is_wrong_with_a_file_is_found(paths: Paths) -> None:
    write_file(paths, "[gateway]\nport = 'x'\nprot = 1\n[data]\ncollect = 'perhaps'\n")
    assert [error.message.split("` ")[0] for error in s.check_file(paths.config_file)] == [
        "`gateway.prot",
        "`gateway.port",
        "`data.collect",
    ]


@every_setting
def test_what_is_set_is_read_back_and_unset_again(setting: s.Setting[object], paths: Paths) -> None:
    for text in TEXTS[setting.name]:
        write_setting(paths, setting, text)
        assert load_settings(paths, {}).get(setting) == setting.parse(text)
    write_setting(paths, setting, None)
    assert load_settings(paths, {}).resolve(setting).source is Source.DEFAULT
    assert read_file(paths.config_file) == {}


def test_a_wrong_value_is_not_written(paths: Paths) -> None:
    write_setting(paths, s.GATEWAY_PORT, "9000")
    before = paths.config_file.read_bytes()
    with pytest.raises(UsageError, match="`80a` is not a whole number"):
        write_settings(paths, {"budget.limit_usd": "10", "gateway.port": "80a"})
    assert paths.config_file.read_bytes() == before


def test_a_file_with_a_mistyped_name_is_not_built_upon(paths: Paths) -> None:
    write_file(paths, "[gateway]\nprot = 1\n")
    with pytest.raises(ConfigurationError, match="is not a setting"):
        write_setting(paths, s.GATEWAY_PORT, "9000")
    assert paths.config_file.read_text() == "[gateway]\nprot = 1\n"


COMMENTED = """\
# Settings of the Berlin agent.

[gateway]   # where it listens
# 8001 is taken by the metrics
port = 9000 # see ticket 12

[budget]
limit_usd = "100" # until March
# do not raise without asking
"""


def test_comments_and_order_survive_changes(paths: Paths) -> None:
    write_file(paths, COMMENTED)
    write_settings(paths, {"gateway.port": "9001", "data.collect": "no", "budget.limit_usd": "50"})
    assert paths.config_file.read_text() == (
        COMMENTED.replace("9000", "9001").replace('"100"', '"50"') + "\n[data]\ncollect = false\n"
    )


def test_the_last_value_of_a_group_leaves_its_comments_behind(paths: Paths) -> None:
    write_file(paths, COMMENTED)
    write_settings(paths, {"gateway.port": None, "budget.limit_usd": None})
    text = paths.config_file.read_text()
    for kept in ("# Settings of", "# where it listens", "# 8001 is taken", "# do not raise"):
        assert kept in text
    assert read_file(paths.config_file) == {}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[gateway]\nport = 9000\n", ""),
        ("[gateway]  # head\nport = 9000\n", "[gateway]  # head\n"),
        ("[gateway]\n# inside\nport = 9000\n", "[gateway]\n# inside\n"),
        ("[gateway]\n\nport = 9000\n", ""),
        ("gateway = { port = 9000 }\n", ""),
    ],
)
def test_a_group_goes_with_its_last_value_but_for_a_comment(text: str, left: str, paths: Paths) -> None:
    write_file(paths, text)
    write_setting(paths, s.GATEWAY_PORT, None)
    assert paths.config_file.read_text() == left


@pytest.mark.parametrize("text", ["gateway.port = 9000\n", "gateway = { port = 9000 }\n", '"gateway.port" = 9000\n'])
def test_other_ways_of_writing_a_group_are_changed_in_place(text: str, paths: Paths) -> None:
    write_file(paths, text)
    assert load_settings(paths, {}).get(s.GATEWAY_PORT) == 9000
    write_setting(paths, s.GATEWAY_PORT, "9001")
    assert load_settings(paths, {}).get(s.GATEWAY_PORT) == 9001
    write_setting(paths, s.GATEWAY_PORT, None)
    assert load_settings(paths, {}).resolve(s.GATEWAY_PORT).source is Source.DEFAULT


@pytest.mark.parametrize("text", ["port = 9000\n", "[gateway]\nprot = 1\n", "[gatway]\nport = 1\n", "[a.b]\nc = 1\n"])
def test_a_name_that_is_no_setting_can_be_taken_out(text: str, paths: Paths) -> None:
    write_file(paths, text)
    (name,) = read_file(paths.config_file)
    change_file(paths.config_file, {name: None})
    assert read_file(paths.config_file) == {}


def test_changing_nothing_does_not_touch_the_file(paths: Paths) -> None:
    write_file(paths, COMMENTED)
    inode = paths.config_file.stat().st_ino
    write_settings(paths, {"data.collect": None})
    assert paths.config_file.stat().st_ino == inode


printable = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=40)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(value=printable)
@example(value="a\nb")
@example(value='quote " and \\ backslash')
@example(value="\x00\x7f\x85\u2028")
def test_any_text_survives_the_file(value: str, paths: Paths) -> None:
    assume(value.strip())
    write_setting(paths, s.PROJECT_ID, value)
    assert load_settings(paths, {}).get(s.PROJECT_ID) == value.strip()


GROUPS = ["gateway", "budget", "data", "deploy"]
names = st.sampled_from([setting.name for setting in s.ALL if setting.name.partition(".")[0] in GROUPS])
comments = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=20)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A settings file with comments wherever TOML allows them."""
    lines = [f"# top {draw(comments)}"]
    for group in draw(st.lists(st.sampled_from(GROUPS), unique=True)):
        lines.append(f"[{group}] # head {draw(comments)}")
        settings = [setting for setting in s.ALL if setting.name.startswith(f"{group}.")]
        for setting in draw(st.lists(st.sampled_from(settings), unique_by=lambda one: one.name)):
            if draw(st.booleans()):
                lines.append(f"# above {draw(comments)}")
            key, text = setting.name.partition(".")[2], TEXTS[setting.name][draw(st.integers(0, 1))]
            lines.append(f'{key} = "{text}" # beside {draw(comments)}')
            lines += [""] * draw(st.integers(0, 2))
        if draw(st.booleans()):
            lines.append(f"# end {draw(comments)}")
    return "\n".join(lines) + "\n"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(text=files(), changes=st.dictionaries(names, st.sampled_from([0, None, 1]), max_size=10))
def test_any_change_keeps_every_other_value_and_every_comment(
    text: str, changes: dict[str, int | None], paths: Paths
) -> None:
    write_file(paths, text)
    before = read_text(text)
    texts = {name: None if which is None else TEXTS[name][which] for name, which in changes.items()}
    write_settings(paths, texts)
    after = paths.config_file.read_text()
    tomllib.loads(after)
    kept = {name: value for name, value in before.items() if name not in texts}
    now = read_file(paths.config_file)
    assert {name: value for name, value in now.items() if name not in texts} == kept
    settings = load_settings(paths, {})
    for name, value in texts.items():
        found = settings.resolve(s.BY_NAME[name])
        assert found.value == (s.BY_NAME[name].default if value is None else s.BY_NAME[name].parse(value))
    # A comment goes only with the line it stands on.
    gone = {line for line in text.splitlines() if any(line.startswith(f"{n.partition('.')[2]} = ") for n in texts)}
    for line in text.splitlines():
        if "#" in line and line not in gone:
            assert line[line.index("#") :].rstrip() in after


# --- the sandbox ---


def test_nothing_real_is_seen_in_the_sandbox(paths: Paths) -> None:
    write_settings(paths, {"together.api_key": TEXTS["together.api_key"][0], "budget.limit_usd": "10"})
    Path(".env").write_text("REASONING_STORE_PATH=/srv/real.db\nREASONING_GATEWAY_PORT=9000\n")
    environ = {"TOGETHER_BASE_URL": "https://real.example", "REASONING_SANDBOX": "1"}
    settings = load_settings(paths, environ)
    assert settings.get(s.SANDBOX) is True
    for setting in s.ALL:
        if not setting.name.startswith("sandbox."):
            assert settings.resolve(setting).source is Source.DEFAULT, setting.name
    assert settings.database().is_relative_to(paths.sandbox().data_dir)


@pytest.mark.parametrize("way", ["flag", "environment", ".env", "file"])
def test_every_source_can_turn_the_sandbox_on(way: str, paths: Paths) -> None:
    environ, flags = {}, {}
    if way == "flag":
        flags = {"sandbox.enabled": "true"}
    elif way == "environment":
        environ = {"REASONING_SANDBOX_ENABLED": "yes"}
    elif way == ".env":
        Path(".env").write_text("REASONING_SANDBOX=1")
    else:
        write_setting(paths, s.SANDBOX, "true")
    settings = load_settings(paths, environ, flags)
    assert settings.paths == paths.sandbox()
    assert settings.resolve(s.SANDBOX).source.value == way


def test_the_sandbox_has_settings_of_its_own(paths: Paths) -> None:
    sandboxed = {"sandbox.enabled": "true"}
    write_setting(paths, s.GATEWAY_PORT, "9000")
    write_setting(paths.sandbox(), s.GATEWAY_PORT, "9001")
    assert load_settings(paths, {}).get(s.GATEWAY_PORT) == 9000
    assert load_settings(paths, {}, sandboxed).get(s.GATEWAY_PORT) == 9001


def test_a_mistyped_real_file_does_not_stop_the_sandbox(paths: Paths) -> None:
    write_file(paths, "[gateway]\nprot = 1\n")
    assert load_settings(paths, {}, {"sandbox.enabled": "true"}).get(s.SANDBOX) is True


def test_the_speed_of_the_sandbox_is_decided_outside(paths: Paths) -> None:
    write_setting(paths, s.SANDBOX_SPEED, "600x")
    settings = load_settings(paths, {}, {"sandbox.enabled": "true"})
    assert settings.get(s.SANDBOX_SPEED) == 600
    assert settings.resolve(s.SANDBOX_SPEED).where == str(paths.config_file)


def test_an_unclear_wish_for_the_sandbox_is_an_error_not_a_guess(paths: Paths) -> None:
    with pytest.raises(ConfigurationError, match="is neither true nor false"):
        load_settings(paths, {"REASONING_SANDBOX": "treu"})


# --- what hides a change ---


def test_a_change_that_a_variable_hides_is_told(paths: Paths) -> None:
    write_setting(paths, s.GATEWAY_PORT, "9000")
    assert s.overrides(load_settings(paths, {}), s.GATEWAY_PORT) is None
    assert s.overrides(load_settings(paths, {"ANTHROPIC_PROXY_PORT": "1"}), s.GATEWAY_PORT) == "ANTHROPIC_PROXY_PORT"
    wrong = load_settings(paths, {"REASONING_GATEWAY_PORT": "wrong"})
    assert s.overrides(wrong, s.GATEWAY_PORT) == "REASONING_GATEWAY_PORT"


# --- profiles ---


@every_setting
def test_in_a_profile_variables_name_neither_account_nor_ledger(setting: s.Setting[object], paths: Paths) -> None:
    own = paths.of_profile("berlin")
    text = TEXTS[setting.name][0]
    Path(".env").write_text(f"{setting.variables[-1]}={text}\n")
    settings = load_settings(own, {setting.variables[0]: text})
    of_account = setting.name.startswith(("together.", "store."))
    assert settings.resolve(setting).source is (Source.DEFAULT if of_account else Source.ENVIRONMENT)
    if of_account:
        write_setting(own, setting, text)
        assert load_settings(own, {}).get(setting) == setting.parse(text)
        assert load_settings(own, {}, {setting.name: TEXTS[setting.name][1]}).resolve(setting).source is Source.FLAG
        assert s.overrides(settings, setting) is None
