"""What `doctor` looks at: is everything in place to run models and to know what they cost. Nothing is changed here."""

from __future__ import annotations

import contextlib
import difflib
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from reasoning_cli import __version__
from reasoning_cli import settings as s
from reasoning_cli.engines.clients import Cloud
from reasoning_cli.errors import ConfigurationError, ExitCode, ReasoningError
from reasoning_cli.operations.deploy.own_server import check_engine, own_servers
from reasoning_cli.operations.doctor.check import Check, ExistingStore, Status, database_path, fail, failed, ok, warn
from reasoning_cli.operations.doctor.costs import check_budget, check_guard
from reasoning_cli.operations.doctor.gateway import Probes, check_fleet, check_gateway, check_spool
from reasoning_cli.operations.doctor.heads import check_heads
from reasoning_cli.operations.doctor.own_servers import check_own_servers
from reasoning_cli.operations.doctor.together import check_account
from reasoning_cli.operations.train.monitor import not_shown
from reasoning_cli.operations.train.plan import slot_model
from reasoning_cli.paths import HOME_VARIABLE, PROFILE_VARIABLE, is_private
from reasoning_cli.settings import Settings
from reasoning_cli.store.backup import BackupSeen, last_backup
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.mounts import mount_of
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import MODEL_TYPES, spell_model_type

_WORTH_A_COPY = 50  # labelled samples
_OLD_COPY_DAYS = 30
_FAMILIES = ("REASONING_", "CUSTOM_REASONING_", "TOGETHER_AI_", "ANTHROPIC_PROXY_")


def run_checks(
    settings: Settings, connect: Callable[[], Cloud] | None, now: Callable[[], datetime], probes: Probes
) -> Iterator[Check]:
    """Every check in turn, quick ones first. Without `connect` the network is left alone."""
    existing = ExistingStore(settings)
    yield ok("program", f"python {platform.python_version()}, reasoning {__version__}")
    if settings.paths.profile:
        yield ok("profile", f"profile {settings.paths.profile}: account and database are its own")
    yield from _folders(settings)
    yield from _settings(settings)
    yield from _variables(settings)
    yield from _database(settings, existing, now())
    yield from check_budget(settings, existing, now())
    yield from check_gateway(settings, probes, online=connect is not None)
    if database_path(settings) is not None:
        yield from check_spool(settings)
        yield from check_fleet(existing)
    if connect is not None:
        yield from check_own_servers(settings)
    running = None
    if settings.problems and connect is not None:
        yield warn("account", "Together was not asked: the settings come first")
    elif connect is not None and _is_all_elsewhere(settings, existing):
        yield ok("account", "no Together key is set, and nothing here needs one: every model runs elsewhere")
    elif connect is not None:
        running = yield from check_account(settings, existing, connect, now)
    yield from check_guard(settings, existing, running, now())


def _is_all_elsewhere(settings: Settings, existing: ExistingStore) -> bool:
    """Whether nobody has a key of Together, nothing from here is there, and the operator's own servers answer."""
    try:
        if settings.resolve(s.API_KEY).value is not None or not own_servers(settings):
            return False
        store = existing.open()
    except ReasoningError:
        return False  # shown among the settings, or as the database's own trouble
    if store is None:
        return True
    with store:
        return not Deployments(store).live()


def exit_code(checks: list[Check]) -> ExitCode:
    """That of the first failure; warnings are no failure."""
    return next((check.exit_code for check in checks if check.status is Status.FAIL), ExitCode.OK)


# --- this machine ---


def _folders(settings: Settings) -> Iterator[Check]:
    database = database_path(settings)
    files = [settings.paths.config_file, *([database] if database else [])]
    for folder in dict.fromkeys([*(file.parent for file in files), settings.paths.cache_dir]):
        # What does not exist yet is made in the nearest folder that does.
        existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            yield fail("folders", f"nothing can be written in {folder}", f"export {HOME_VARIABLE}=FOLDER")
    for file in files:
        if file.is_file() and not is_private(file):
            yield warn("modes", f"{file.name} can be read by others", f"chmod 600 {file}")


def _database(settings: Settings, existing: ExistingStore, now: datetime) -> Iterator[Check]:
    path = database_path(settings)
    if path is None:
        return
    in_file = isinstance(settings.place(), Path)
    mount = mount_of(path) if in_file else None
    if mount is not None and mount.is_network:
        yield warn(
            "database",
            f"{path} is on a network file system ({mount.kind} at {mount.place}), where two machines that write damage"
            " it: copy it with `reasoning data backup` to a disk of this machine, and name the copy",
            "reasoning config set store.path FILE",
        )
    try:
        store = existing.open()
        if store is None:
            yield ok("database", "no database yet; it is made when first needed")
            return
        with store:
            name, found = store.name, store.check()
            unwritable = store.read_only_for
            copied, labelled = last_backup(store), Samples(store).labelled()
            runs, forms = not_shown(store), list(_forms(settings, store))
            heads = list(check_heads(store, settings))
    except ReasoningError as error:
        yield failed("database", error)
        return
    if found.problems:
        aside = f"mv {path} {path}.bad" if in_file else "reasoning store copy FILE postgresql://…"
        yield fail("database", f"{name} is damaged: {found.problems[0]}", aside)
    elif found.strangers:
        first = found.strangers[0]
        more = f", and {len(found.strangers) - 1} more" if len(found.strangers) > 1 else ""
        yield fail("database", f"{path} holds {first}{more}", first.cure(path))
    else:
        megabytes = found.size_bytes / 1_000_000
        where = "" if in_file else f" {name}"
        said = f"database{where} {megabytes:.1f} MB, schema {found.schema_version}, intact"
        if unwritable is None:
            yield ok("database", said)
        else:
            why = f"{said}, but can only be read: {unwritable.message}"
            fix = "reasoning config set store.path FILE" if in_file else unwritable.hint
            yield fail("database", why, fix, unwritable.exit_code)
        yield from _copies(copied, labelled, now, in_file=in_file)
        yield from map(_training, runs)
        yield from forms
        yield from heads


def _forms(settings: Settings, store: Store) -> Iterator[Check]:
    """Models in slots that are asked in another form of prompts than they were trained on."""
    for model_type in MODEL_TYPES:
        name = slot_model(store, model_type)
        run = TrainingRuns(store).of_model(name) if name is not None else None
        trained = run.plan.get("prompt_form") if run is not None else None
        try:
            asked = str(settings.get(s.PROMPT_FORM[model_type]))
        except ConfigurationError:
            continue  # shown among the settings
        if trained is not None and trained != asked:
            what = f"{name} was trained on {trained} prompts, and its slot asks {asked}"
            yield warn("training", what, f"reasoning config set {model_type}.prompt_form {trained}")


def _training(run: TrainingRun) -> Check:
    """A training that goes on, or whose end nobody has been shown."""
    what = f"run {run.number} for {spell_model_type(run.model_type)}"
    if run.stage == "failed":
        return warn("training", f"{what} failed: {run.problem}", f"reasoning train show {run.number}")
    if run.over:
        return ok("training", f"{what} is {run.stage}: `reasoning train show {run.number}`")
    if run.problem:
        return warn("training", f"{what} waits: {run.problem}", f"reasoning train show {run.number}")
    return ok("training", f"{what} goes on ({run.job_status or run.stage}): `reasoning train status`")


def _copies(copied: BackupSeen | None, labelled: int, now: datetime, *, in_file: bool) -> Iterator[Check]:
    """Labels are people's work, and nothing brings them back: whether there is a copy of them. A server may be copied
    by its own means, and its hosts have a disk each: what is not seen here is not missing."""
    fix = "reasoning data backup FILE"
    if copied is None:
        if labelled >= _WORTH_A_COPY and in_file:
            yield warn("backup", f"{labelled:,} samples are labelled, and there is no copy of them", fix)
        elif labelled >= _WORTH_A_COPY:
            yield ok("backup", f"{labelled:,} samples are labelled; whether the server is backed up is not seen here")
        return
    days = (now - copied.at).days
    text = f"last copy {days} d ago: {copied.path}"
    if not Path(copied.path).is_file():
        if in_file:
            yield warn("backup", f"{text}, which is not there any more", fix)
            return
        text += ", which is not on this host"
    yield warn("backup", text, fix) if labelled >= _WORTH_A_COPY and days > _OLD_COPY_DAYS else ok("backup", text)


# --- settings ---


def _settings(settings: Settings) -> Iterator[Check]:
    good = not settings.problems
    yield from (failed("settings", problem) for problem in settings.problems)
    for setting in s.ALL:
        try:
            settings.get(setting)
        except ConfigurationError as error:
            good = False
            if isinstance(error, s.RefusedAddressError):
                yield failed("settings", error)
                continue
            _, source, where = settings.find(setting)
            fix = f"reasoning config unset {setting.name}" if source is s.Source.FILE else f"change or unset {where}"
            yield fail("settings", error.message, fix, error.exit_code)
    for model_type, engine in s.ENGINE.items():
        with contextlib.suppress(s.RefusedAddressError):
            try:
                check_engine(settings, model_type)
            except ConfigurationError as error:
                if settings.find(engine)[0] is not None:
                    good = False
                    yield failed("settings", error)
    for setting in (s.GATEWAY_TLS_CERT, s.GATEWAY_TLS_KEY):
        with contextlib.suppress(ConfigurationError):
            if (path := settings.get(setting)) is not None and not path.is_file():
                good = False
                fix = f"reasoning config set {setting.name} FILE"
                yield fail("settings", f"{setting.name} names {path}, which is not there", fix, ExitCode.CONFIGURATION)
    if good:
        file = settings.paths.config_file
        where = f"file {file}" if file.is_file() else f"no settings file yet ({file})"
        yield ok("settings", f"settings make sense, {where}")


def _variables(settings: Settings) -> Iterator[Check]:
    """Variables that look like settings and do nothing: mistyped, of the original plugin, or overruled by another."""
    for variables, place in ((settings.environ, s.Source.ENVIRONMENT), (settings.dotenv, s.Source.DOTENV)):
        present = {name: value.strip() for name, value in variables.items() if value.strip()}
        ours = {HOME_VARIABLE, PROFILE_VARIABLE} if variables is settings.environ else set()
        yield from _unknown(sorted(present.keys() - ours), place)
        for setting in s.ALL:
            yield from _overruled(settings, setting, present, place)


def _unknown(names: Sequence[str], place: s.Source) -> Iterator[Check]:
    """Variables named like settings that are none."""
    known = {name: setting for setting in s.ALL for name in setting.variables}
    for name in names:
        if name.startswith(_FAMILIES) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
            fix = f"rename it to {near[0]}, or unset it" if near else f"unset {name}"
            yield warn("variables", f"{name} ({place}) has no effect", fix)


def _overruled(
    settings: Settings, setting: s.Setting[Any], present: Mapping[str, str], place: s.Source
) -> Iterator[Check]:
    """Variables of a setting that another of its variables wins over, or that may not come from this place."""
    first, *others = [name for name in setting.variables if name in present] or [""]
    if settings.ignores_variables(setting, place):
        if first and setting.of_operator:
            fix = f"reasoning config set {setting.name} {s.spell(present[first])}"
            yield warn("variables", f"{first} ({place}) has no effect: no working folder may say so", fix)
        return
    for name in others:
        if present[name] != present[first]:
            yield warn("variables", f"{name} ({place}) has no effect: {first} wins", f"unset {name}")
