"""Every table of the program, filled with what is hard to show: long names, wide characters, states of each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from reasoning_cli.commands._shared.cost_views import cost_columns, report_lines, spent_line
from reasoning_cli.commands.config.app import Shown, setting_listing
from reasoning_cli.commands.costs.compare import show_comparisons
from reasoning_cli.commands.costs.events import event_columns
from reasoning_cli.commands.costs.prices import price_columns
from reasoning_cli.commands.data._browse_views import page_listing
from reasoning_cli.commands.data._stats_views import days_listing, stats_facts
from reasoning_cli.commands.gateway._views import stats_lines, status_facts
from reasoning_cli.commands.models._views import list_columns, status_columns
from reasoning_cli.commands.train._eval_views import evaluation_columns
from reasoning_cli.commands.train._views import trained_columns
from reasoning_cli.commands.train.history import history_columns
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.operations.advice.facts import SideBySide
from reasoning_cli.operations.costs.breakeven import Comparison, Original
from reasoning_cli.operations.costs.budget import Limits, Standing
from reasoning_cli.operations.costs.ledger import Usage
from reasoning_cli.operations.costs.report import By, CostLine, CostReport
from reasoning_cli.operations.costs.token_prices import TokenPrice
from reasoning_cli.operations.costs.ways import Baseline, Gpu, Known, Load, Proof, ProvenHead, Server, Speed, ways
from reasoning_cli.operations.data.browse import Page
from reasoning_cli.operations.data.stats import PersonalData, SampleStatistics
from reasoning_cli.operations.deploy.activity import Activity
from reasoning_cli.operations.deploy.status import ModelStatus
from reasoning_cli.operations.promote.history import Tenure
from reasoning_cli.operations.train.trained import Trained
from reasoning_cli.store.audit_log import Event
from reasoning_cli.store.deploy.deployments import DeploymentRecord
from reasoning_cli.store.evaluate.evaluations import EvaluationRecord
from reasoning_cli.store.samples.listing import SampleRow
from reasoning_cli.store.samples.stats import SampleFigures, SampleRange, TypeFigures
from reasoning_cli.store.train.runs import TrainingRun
from reasoning_cli.terminal.checklist import show_check
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.listing import Format, Listing
from reasoning_cli.values import Mode

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LONG = "moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond"


def _deployed(state: str, **changes: object) -> DeploymentRecord:
    record = DeploymentRecord(
        key="k",
        model_type="planning",
        model_name=LONG,
        model_id="ml_1",
        endpoint_name="planning-7f3a",
        endpoint_id="ep_1",
        deployment_name="planning-7f3a",
        deployment_id="dep_1",
        serving_name="acme/planning-7f3a",
        project_id="p",
        hardware="1xnvidia-h100-80gb",
        price_cents_per_hour=549,
        config=None,
        idle_minutes=0,
        min_replicas=1,
        max_replicas=2,
        state=state,
        ready_replicas=1,
        created_at=NOW - timedelta(days=2),
        state_at=NOW - timedelta(minutes=3),
    )
    return replace(record, **changes)  # type: ignore[arg-type]


_USED = Usage(timedelta(hours=31), timedelta(hours=31), Decimal(17019), Decimal(17019))
_MODELS = [
    ModelStatus("should_respond", "should_respond", True, LONG, None, Usage(), None),
    ModelStatus(
        "planning",
        "planning",
        True,
        LONG,
        _deployed("READY"),
        _USED,
        NOW - timedelta(hours=31),
        Activity(1204, None),
        traffic_percent=75,
        mode=Mode.CANARY,
        share_percent=25,
    ),
    ModelStatus("coding", "coding", True, "acme/コード-模型-😀-7b", _deployed("FAILED"), _USED, None),
    ModelStatus(
        "planning-9c1e",
        None,
        None,
        "acme/[red]x[/red]",
        _deployed("PROVISIONING", ready_replicas=0),
        Usage(),
        None,
        traffic_percent=25,
    ),
]


def _models_list(terminal: Terminal) -> None:
    terminal.show(Listing(list_columns(NOW), _MODELS, id=lambda one: one.name), Format.TABLE)


_STANDING = Standing(Limits(Decimal(400), None, Decimal(1)), NOW, NOW - timedelta(days=20), _USED + _USED, 1098)


def _models_status(terminal: Terminal) -> None:
    terminal.show(Listing(status_columns(NOW), _MODELS, id=lambda one: one.name), Format.TABLE)
    terminal.print()
    terminal.say(spent_line(_STANDING))


def _costs_report(terminal: Terminal) -> None:
    days = tuple(Decimal(one) for one in (0, 100, 300, 900, 200, 549, 1098))
    bill = CostReport(
        NOW - timedelta(days=20),
        NOW,
        By.MODEL,
        (
            CostLine("planning", _USED, _deployed("READY"), None, "planning", None, 12_345, "log", days),
            CostLine("coding", _USED, _deployed("STOPPED"), None, "coding", None, None, None, days),
        ),
        _USED + _USED,
        _STANDING,
    )
    terminal.show(Listing(cost_columns(bill.by), bill.lines, id=lambda one: one.name), Format.TABLE)
    terminal.print()
    for line in report_lines(bill, bars=terminal.out_is_terminal):
        terminal.say(line)


def _costs_events(terminal: Terminal) -> None:
    events = [
        Event(NOW, "operator", "deploy", "planning-7f3a", {"model": LONG, "hardware": "1xnvidia-h100-80gb"}, "ann"),
        Event(NOW, "guard", "stop", "coding-1a2b", {"why": "idle for 31 minutes"}, "root"),
        Event(NOW, "operator", "set_budget", "month", {"usd": "400"}, "ann"),
    ]
    terminal.show(Listing(event_columns(), events, id=lambda one: one.subject), Format.TABLE)


def _costs_compare(terminal: Terminal) -> None:
    price = TokenPrice("gpt-5", Decimal("1.25"), Decimal(10), date(2026, 11, 1), "https://openai.com/api/pricing")
    original = Original("gpt-5", 2000, 120, Decimal(9000), Decimal(400), price)
    proof = Proof(passes=True, at_most=Decimal("0.043"))
    planning = Known(
        "planning",
        Load((Decimal(50),) * 18 + (Decimal(400),) * 5 + (Decimal(50),)),
        Baseline("gpt-5", original.cents_per_decision, Speed(1240, 3900)),
        gpu=Gpu(549, proof, Decimal("0.97"), Speed(310, 1180), running=True, live=True),
        server=Server("local/qwen2.5-1.5b", Decimal(0), Proof(next="reasoning train eval planning --model local/qwen")),
    )
    deciding = Known(
        "should-respond",
        Load.even(Decimal(300)),
        Baseline("gpt-5", original.cents_per_decision),
        head=ProvenHead(
            *("head/should-respond-1a2b3c4d", Decimal("0.31"), Decimal("0.019"), Decimal("0.05")),
            next="reasoning train promote should-respond --to head/should-respond-1a2b3c4d",
        ),
        heads=True,
    )
    show_comparisons(
        terminal,
        [
            SideBySide(Comparison("planning", 2400, True, 549, original), planning, tuple(ways(planning))),
            SideBySide(
                Comparison("should_respond", 7200, False, None, original), deciding, tuple(ways(deciding)), True
            ),
            SideBySide(
                Comparison("coding", 0, False, None, None),
                nothing := Known("coding", Load.even(Decimal(0)), None),
                tuple(ways(nothing)),
            ),
        ],
    )


def _costs_prices(terminal: Terminal) -> None:
    prices = [
        TokenPrice("claude-sonnet-4-5", Decimal(3), Decimal(15), date(2026, 11, 1), "https://claude.com/pricing#api"),
        TokenPrice("gpt-5-mini", Decimal("0.25"), Decimal(2), date(2026, 11, 1), "https://openai.com/api/pricing/"),
    ]
    terminal.show(Listing(price_columns(), prices, id=lambda one: one.model), Format.TABLE)


def _data_list(terminal: Terminal) -> None:
    row = SampleRow(
        1,
        "8c1f20aa",
        NOW,
        "planning",
        "REPLY, SEND_MESSAGE",
        None,
        "good",
        "a",
        "Nova",
        "r",
        "original",
        "import",
        "gpt-5",
        1,
        1,
        1,
        1,
        None,
        "Could you tell [bold]Ann[/bold] that the meeting of tomorrow morning is moved to the day after?",
    )
    rows = [
        row,
        replace(row, id="77e0b1cd", decision="REPLY", corrected="IGNORE", label="corrected", source="slot"),
        replace(
            row,
            id="01ab33ef",
            model_type="should_respond",
            decision=None,
            label="bad",
            agent_name="名前",
            tail="明日の会議は何時からですか？教えてください。" * 3,
        ),
        replace(row, id="5d5d5d5d", model_type="coding", decision="Edit", label=None, tail="Rename x."),
    ]
    terminal.show(page_listing(Page(rows, False, 8)), Format.TABLE)


def _type_figures(count: int) -> TypeFigures:
    return TypeFigures(
        SampleRange(count, NOW - timedelta(days=9), NOW),
        12,
        {"REPLY": count // 2, "IGNORE": count // 3, "STOP": count // 8},
        3,
        {"original": count},
        {"good": count // 4},
        {"Nova": count},
        4,
        9,
        4321,
        9876,
        123,
        456,
        count,
        count * 1000,
        count * 30,
        0,
    )


_FIGURES = SampleFigures(
    SampleRange(3000, NOW - timedelta(days=9), NOW),
    24,
    {"should_respond": _type_figures(2000), "planning": _type_figures(1000)},
    71_000_000,
    {
        date(2026, 11, 19): {"should_respond": 1500, "planning": 800},
        date(2026, 11, 20): {"should_respond": 400, "planning": 100},
        date(2026, 11, 21): {"should_respond": 100, "planning": 100},
    },
)


def _data_stats(terminal: Terminal) -> None:
    statistics = SampleStatistics(
        _FIGURES,
        PersonalData(1000, 40, {"email": 40}),
        "good",
        "3,000 decisions of two types",
        ("label some: `reasoning data review -m planning`",),
    )
    terminal.facts(stats_facts(statistics, terminal.width))


def _data_days(terminal: Terminal) -> None:
    terminal.show(days_listing(_FIGURES, terminal.width), Format.TABLE)


_RUN = TrainingRun(
    3, "planning", NOW - timedelta(days=1), NOW, NOW, "done", "Qwen/Qwen2.5-1.5B-Instruct", "sft", job_id="ft-8c1f20aa"
)


def _train_list(terminal: Terminal) -> None:
    runs = [
        _RUN,
        replace(_RUN, number=2, stage="failed", problem="no more credit"),
        replace(_RUN, number=1, stage="training", job_status="running"),
    ]
    rows = [Trained(one, None) for one in runs]
    terminal.show(Listing(trained_columns(), rows, id=lambda one: one.id), Format.TABLE)


def _train_evals(terminal: Terminal) -> None:
    record = EvaluationRecord(
        12,
        "should_respond",
        "",
        NOW,
        None,
        "f",
        {"models": ["original", "acme/should-respond-7", LONG], "count": 800},
        None,
    )
    rows = [record, replace(record, number=11, model_type="planning")]
    terminal.show(Listing(evaluation_columns(), rows, id=lambda one: str(one.number)), Format.TABLE)


def _train_history(terminal: Terminal) -> None:
    stints = [
        Tenure("planning", LONG, "k", NOW - timedelta(days=3), NOW, 12_345, True, _RUN),
        Tenure("planning", "acme/planning-2", "j", NOW - timedelta(days=9), NOW - timedelta(days=3), 44, False, _RUN),
    ]
    terminal.show(Listing(history_columns(), stints, id=lambda one: one.model), Format.TABLE)


def _doctor(terminal: Terminal) -> None:
    show_check(terminal, "ok", "good", "settings make sense", None)
    show_check(
        terminal, "warn", "warning", "config.toml can be read by others", "chmod 600 /home/a/.config/config.toml"
    )
    show_check(terminal, "fail", "bad", "nothing would stop `planning`, which burns", "`reasoning costs guard` does")


_SOURCES = {
    "slot": {"count": 900, "p50_ms": 210, "p95_ms": 640, "reasons": {}},
    "original": {"count": 300, "p50_ms": 1204, "p95_ms": 4100, "reasons": {"outside its share": 290, "timed out": 10}},
}
_ENTRY = {
    "decisions": 1200,
    "by_source": _SOURCES,
    "models": [
        {
            "model": LONG,
            "deployment": None,
            "answered": 900,
            "beside": 120,
            "failed": 10,
            "agreement": 0.91,
            "p50_ms": 210,
            "p95_ms": 640,
            "failures": {"timed out": 10},
        }
    ],
    "success_rate": 0.989,
    "agreement": 0.91,
    "not_asked_beside": 0,
}


def _gateway_stats(terminal: Terminal) -> None:
    for line in stats_lines(terminal, {"model_types": {"should_respond": _ENTRY}, "relayed": 41}, {}):
        terminal.print(line)


def _gateway_status(terminal: Terminal) -> None:
    slot = {
        "mode": "canary",
        "share_percent": 75,
        "model": LONG,
        "closed": None,
        "circuit": "closed",
        "challenger": None,
        "waking": None,
        "tools": False,
    }
    closed = {**slot, "closed": "no model is deployed", "mode": "live"}
    record = {
        "slots": {"should_respond": slot, "planning": closed, "coding": {**slot, "circuit": "open"}},
        "model_types": {"should_respond": _ENTRY},
        "recording": {"stored": 1200, "unreadable": 3, "dropped": 0, "last_error": None},
        "upstream_errors": {"timeout": 4},
        "problem": None,
    }
    terminal.facts(status_facts(record, bars=terminal.out_is_terminal))


def _config(terminal: Terminal) -> None:
    wrong = ConfigurationError("no port", "`reasoning config set gateway.port 8001`")
    rows = [
        Shown("database", "/home/a/.local/share/reasoning/reasoning.db", "default", "", None, "Where it is."),
        Shown("gateway.port", "http", "file", "/home/a/config.toml", 8001, "The port.", wrong),
        Shown("together.api_key", "…6789", "environment", "TOGETHER_API_KEY", None, "The key."),
        Shown("costs.webhook", None, "default", "", None, "Who is told."),
    ]
    terminal.show(setting_listing(rows), Format.TABLE)


TABLES: dict[str, Callable[[Terminal], None]] = {
    "models list": _models_list,
    "models status": _models_status,
    "costs report": _costs_report,
    "costs events": _costs_events,
    "costs compare": _costs_compare,
    "costs prices": _costs_prices,
    "data list": _data_list,
    "data stats": _data_stats,
    "data stats --by-day": _data_days,
    "train list": _train_list,
    "train evals": _train_evals,
    "train history": _train_history,
    "doctor": _doctor,
    "config": _config,
    "gateway stats": _gateway_stats,
    "gateway status": _gateway_status,
}
