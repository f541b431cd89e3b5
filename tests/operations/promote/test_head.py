"""A head comes into its line by steps, in settings alone, goes back by itself, and is never half in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli import settings as s
from reasoning_cli.errors import DataError, NotFoundError, ReasoningError
from reasoning_cli.operations.deploy import heads
from reasoning_cli.operations.deploy.slots import HeadSlot, SlotNow, read_slots
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.evaluate.head_watch import EVERY, Auditor, HeadWatch, below
from reasoning_cli.operations.promote.head import (
    begin_head,
    look_at_head,
    plan_head,
    roll_head_back,
)
from reasoning_cli.operations.promote.plan import PromoteRequest
from reasoning_cli.operations.promote.stepping import LocalContext, LocalPlan
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import Settings, load_settings
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.store.serving.heads import Heads
from reasoning_cli.values import Mode
from tests.heads import ruled_head, store_head
from tests.writes import kills

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
MODEL = "head/should-respond"


class Clock:
    """A minute goes by whenever somebody asks."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        self.at += timedelta(minutes=1)
        return self.at


def settings_now() -> Settings:
    return load_settings(find_paths(dict(os.environ)), dict(os.environ))


def decision(number: int, at: datetime, *, source: str = "slot", model: str = MODEL) -> Sample:
    return Sample(
        id=f"s{number}",
        created_at=at,
        model_type="should_respond",
        model=model,
        source=source,
        origin="gateway",
        prompt=f"prompt {number}",
        output="<response><name>Ada</name><reasoning>No.</reasoning><action>IGNORE</action></response>",
        decision="IGNORE",
    )


def audit(number: int, at: datetime, *, agrees: bool | None, named: bool = True, mode: str = "live") -> AttemptRecord:
    failure = "not confident enough" if agrees is None else None
    return AttemptRecord(
        f"s{number}",
        at,
        "should_respond",
        mode,
        MODEL,
        None,
        "IGNORE",
        agrees,
        failure,
        0.99,
        0,
        0,
        0,
        "",
        "rule",
        named,
    )


@pytest.fixture
def database(home: Path) -> Path:
    """A log in which the head is seen to answer every ten seconds for some hours, and a head that may."""
    store_head(home, ruled_head("Ada"))
    path = settings_now().database()
    with open_store(path) as store:
        Samples(store).insert_many([decision(number, START + timedelta(seconds=10 * number)) for number in range(1500)])
    return path


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with open_store(database) as opened:
        yield opened


@pytest.fixture
def context(store: Store) -> LocalContext:
    return LocalContext(store, settings_now, Clock())


REQUEST = PromoteRequest("should_respond", MODEL, steps=(0, 10, 100), hold=5)


def planned(store: Store) -> LocalPlan:
    return plan_head(store, settings_now(), REQUEST, Gate(), START)


def until_over(context: LocalContext, promotion: Promotion) -> Promotion:
    for _ in range(50):
        if promotion.finished_at is not None:
            break
        promotion = look_at_head(context, promotion).promotion
    return promotion


def slots_now(store: Store) -> Mapping[str, SlotNow]:
    settings = settings_now()
    return heads.in_line(
        settings, store, read_slots(settings, store, START, together_url="http://nobody", together_key=None)
    )


def in_line() -> tuple[object, ...]:
    get = settings_now().get
    return get(s.LINE), get(s.HEAD), get(s.HEAD_MODE)


LIVE = (("head", "together"), "should-respond", Mode.LIVE)
BEFORE = (None, None, Mode.SHADOW)


def test_it_goes_through_its_steps_and_back_to_what_was_before(context: LocalContext, store: Store) -> None:
    plan = planned(store)
    assert [criterion.key for criterion in plan.criteria if criterion.passed is False] == ["evaluated"]
    promotion = begin_head(context, plan, by="ann", forced=True)
    assert in_line() == (("head", "together"), "should-respond", Mode.SHADOW)
    promotion = until_over(context, promotion)
    assert (promotion.stage, promotion.forced_by, in_line()) == ("promoted", "ann", LIVE)
    steps = [event.detail["percent"] for event in Events(store).list() if event.action == "promote_step"]
    assert steps == [0, 10, 100]
    with pytest.raises(ReasoningError, match="answers already"):
        planned(store)
    roll_head_back(context, promotion, "ann")
    assert in_line() == BEFORE


def test_what_its_audits_take_out_goes_back_by_itself(context: LocalContext, store: Store) -> None:
    promotion = begin_head(context, planned(store), by="ann", forced=True)
    promotion = look_at_head(context, promotion).promotion
    Attempts(store).insert_many([audit(n, START + timedelta(hours=4), agrees=False) for n in range(30)])
    slots = slots_now(store)
    head = slots["should_respond"].head
    assert isinstance(head, HeadSlot)
    assert Auditor().took_out(store, head, START + timedelta(hours=5))
    promotion = look_at_head(context, promotion).promotion
    assert promotion.stage == "returned"
    assert "of 30 audited decisions 30 disagreed" in (promotion.why or "")
    assert in_line() == BEFORE
    (event,) = (event for event in Events(store).list() if event.action == "take_out_head")
    assert event.detail["model"] == MODEL


def test_what_somebody_else_changes_meanwhile_stays_theirs(context: LocalContext, store: Store) -> None:
    promotion = begin_head(context, planned(store), by="ann", forced=True)
    s.write_settings(settings_now().paths, {s.LINE.name: None})
    promotion = until_over(context, promotion)
    assert promotion.stage == "left"
    assert settings_now().get(s.LINE) is None


def test_a_head_that_cannot_be_used_is_refused_with_what_helps(store: Store, home: Path) -> None:
    with pytest.raises(NotFoundError):
        plan_head(store, settings_now(), PromoteRequest("should_respond", "head/none"), Gate(), START)
    path = store_head(home, ruled_head("Ada", name="damaged"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match="damaged"):
        plan_head(store, settings_now(), PromoteRequest("should_respond", "head/damaged"), Gate(), START)
    with pytest.raises(NotFoundError, match="should-respond only"):
        plan_head(store, settings_now(), PromoteRequest("planning", MODEL), Gate(), START)


@pytest.mark.parametrize("fault", ["damaged", "version", "gone", "of another type"])
def test_the_slot_goes_on_without_a_head_that_cannot_be_read(store: Store, home: Path, fault: str) -> None:
    path = store_head(home, ruled_head("Ada"))
    s.write_settings(settings_now().paths, {s.LINE.name: "head", s.HEAD.name: "should-respond"})
    content = path.read_bytes()
    match fault:
        case "damaged":
            path.write_bytes(content[:-20])
        case "version":
            path.write_bytes(content.replace(b"reasoning head 1", b"reasoning head 9", 1))
        case "gone":
            path.unlink()
        case _:
            from dataclasses import replace

            replace(ruled_head("Ada"), model_type="planning").save(path)
    read = slots_now(store)
    head = read["should_respond"].head
    assert head is not None
    assert (head.judge, head.closed) == (None, "its file cannot be used")
    assert read["should_respond"].closed == "it is not in line"
    store_head(home, ruled_head("Ada"))  # mended, it is read again
    read = slots_now(store)
    assert read["should_respond"].head is not None
    assert read["should_respond"].head.closed is None


def test_drift_is_seen_by_what_disagrees_and_by_who_is_named_within_the_stated_audits() -> None:
    # 20 % named, then none: known after 60 audits at the start, and 130 after a thousand.
    assert below([False] * 60, 0.1) is not None
    before = [number % 5 == 0 for number in range(1000)]
    assert below(before, 0.1) is None
    assert below(before + [False] * 130, 0.1) is not None
    watch = HeadWatch("should_respond", MODEL, START, 0.05, 0.2)
    watch.agreed = [number % 50 != 0 for number in range(40 * EVERY)]  # 2 % disagree
    assert watch.verdict() is None
    watch.named = [False] * 60
    assert "name somebody" in (watch.verdict() or "")


def test_a_head_put_in_again_is_audited_anew(context: LocalContext, store: Store) -> None:
    known_heads = Heads(store)
    known_heads.put_in_line(MODEL, START)
    Attempts(store).insert_many([audit(n, START + timedelta(minutes=1), agrees=False) for n in range(30)])
    assert HeadWatch("should_respond", MODEL, START, 0.05, None).look(store) is not None
    known_heads.put_in_line(MODEL, START + timedelta(minutes=2))
    known = known_heads.get(MODEL)
    assert known is not None
    assert HeadWatch("should_respond", MODEL, known.since, 0.05, None).look(store) is None


def promote_to_the_end(database: Path) -> None:
    """What the command does, first or once more."""
    with open_store(database) as store:
        context = LocalContext(store, settings_now, Clock())
        promotion = Promotions(store).going("should_respond")
        latest = Promotions(store).latest("should_respond")
        if promotion is None and (latest is None or latest.stage != "promoted"):
            promotion = begin_head(context, planned(store), by="ann", forced=True)
        if promotion is not None:
            until_over(context, promotion)


def test_killed_before_each_write_the_same_command_ends_the_same(database: Path, home: Path) -> None:
    written = []
    for what in kills(home, lambda: promote_to_the_end(database)):
        written.append(what)
        with open_store(database) as store:
            # Never live without a promotion that says so.
            if in_line() == LIVE:
                latest = Promotions(store).latest("should_respond")
                assert latest is not None
                assert latest.step == 2
        promote_to_the_end(database)
        with open_store(database) as store:
            (promotion,) = Promotions(store).all("should_respond")
            assert (promotion.stage, in_line()) == ("promoted", LIVE)
            as_before(store)
    assert written.count("COMMIT") > 9
    assert sum("os.rename" in what for what in written) == 3


def test_a_way_back_that_is_killed_before_each_write_is_gone_to_its_end(database: Path, home: Path) -> None:
    def back() -> None:
        with open_store(database) as store:
            latest = Promotions(store).latest("should_respond")
            assert latest is not None
            roll_head_back(LocalContext(store, settings_now, Clock()), latest, "ann")

    promote_to_the_end(database)
    written = []
    for what in kills(home, back):
        written.append(what)
        assert in_line() in (LIVE, BEFORE), "one or the other, whole"
        back()
        with open_store(database) as store:
            latest = Promotions(store).latest("should_respond")
            assert latest is not None
            assert latest.rolled_back_at is not None
            assert in_line() == BEFORE
            as_before(store)
        promote_to_the_end(database)
    assert len(written) > 3


def as_before(store: Store) -> None:
    """Nothing was ever promoted."""
    store.write("DELETE FROM promotions")
    store.write("DELETE FROM heads_in_line")
    s.write_settings(settings_now().paths, {s.LINE.name: None, s.HEAD.name: None, s.HEAD_MODE.name: None})
