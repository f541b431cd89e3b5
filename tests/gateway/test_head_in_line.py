"""A head in line answers what it is sure of, in every form the slot's model would, and leaves all else to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reasoning_cli.commands.demo.synthetic_agent import Made, make_decisions
from reasoning_cli.decisions.answers import ShouldRespondAnswer, parse_answer
from reasoning_cli.engines.head.model import Head
from reasoning_cli.gateway.stats.metrics import metrics_text
from reasoning_cli.operations.deploy.slots import HeadSlot, SlotNow
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.values import Mode
from tests.gateway import canned
from tests.gateway.prompts import PATHS, request
from tests.gateway.serving import Served, open_slot, served
from tests.heads import ruled_head
from tests.waiting import until

FORMS = [(face, stream) for face in PATHS for stream in (False, True)]
CODED = (
    "initial code: 11-aa\n{}\nmiddle code: 22-bb\n<output>\n<one_initial_code>…</one_initial_code>\n"
    "<one_middle_code>…</one_middle_code>\n<one_end_code>…</one_end_code>\n<action>RESPOND | IGNORE | STOP</action>\n"
    "</output>\nend code: 33-cc"
)


@pytest.fixture(scope="module")
def made() -> dict[str, Made]:
    """A message for somebody else, one for the agent, and one for nobody."""
    decisions = list(make_decisions(60, seed=2, planning=False))
    others = next(each for each in decisions if ", did you see" in each.message)
    own = next(each for each in decisions if each.right == "RESPOND")
    nobody = next(each for each in decisions if each.message.startswith("I am so tired"))
    return {"other": others, "agent": own, "nobody": nobody}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Served) -> Served:
    """A gateway whose head is live, without audits."""
    put_in_line(running)
    running.change("should_respond", mode=Mode.LIVE, closed=None)
    running.original.handler, running.model.handler = canned.original, canned.model
    return running


def put_in_line(gateway: Served, head: Head | None = None, **changes: object) -> None:
    slot = open_slot("should_respond", gateway.model.url)
    own = {field.name: getattr(slot, field.name) for field in fields(SlotNow)}
    judge = head or ruled_head("Ada")
    made = HeadSlot(
        **own | {"model": judge.model, "deployment_key": None}, judge=judge, audit_percent=0, since=datetime.now(UTC)
    )
    gateway.change("should_respond", head=replace(made, **changes))  # type: ignore[arg-type]


def newest(gateway: Served, count: int) -> Sample:
    return gateway.samples(count)[-1]


def stored(gateway: Served) -> int:
    """How many samples there are when all that was handed over is written."""
    until(lambda: gateway.gateway.recorder.figures.waiting_bytes == 0, "the recorder")
    return len(gateway.samples(0))


@pytest.mark.parametrize(("face", "stream"), FORMS)
def test_what_it_is_sure_of_is_answered_here_in_each_form(
    gateway: Served, made: dict[str, Made], face: str, stream: bool
) -> None:
    before = stored(gateway)
    asked = len(gateway.original.received), len(gateway.model.received)
    prompt = CODED.format(made["other"].prompt)
    answer = gateway.client.post(PATHS[face], json=request(face, prompt, stream=stream))
    assert answer.status_code == 200
    assert answer.headers["x-reasoning-source"] == "head"
    if stream:
        assert answer.headers["content-type"].startswith("text/event-stream")
    text = answer.text.replace("\\n", "\n").replace('\\"', '"')
    assert "IGNORE" in text
    for code in ("11-aa", "22-bb", "33-cc"):
        assert code in text
    sample = newest(gateway, before + 1)
    assert (len(gateway.original.received), len(gateway.model.received)) == asked
    assert (sample.source, sample.model, sample.decision) == ("slot", "head/should-respond", "IGNORE")
    assert sample.confidence == 0.99
    assert str(sample.metadata["why"]).startswith("rule other|")
    said = parse_answer("should_respond", sample.output)
    assert isinstance(said, ShouldRespondAnswer)
    assert said.name == "Ada"


def ask(gateway: Served, prompt: str) -> str:
    answer = gateway.client.post(PATHS["chat"], json=request("chat", prompt))
    assert answer.status_code == 200
    return answer.headers.get("x-reasoning-source", "original")


def test_what_it_is_not_sure_of_goes_to_the_next_in_line_then_to_the_original(
    gateway: Served, made: dict[str, Made]
) -> None:
    assert ask(gateway, made["agent"].prompt) == "slot"  # RESPOND is not proven
    assert ask(gateway, made["nobody"].prompt) == "slot"
    gateway.change("should_respond", closed="it is not in line")
    assert ask(gateway, made["nobody"].prompt) == "original"
    assert ask(gateway, made["other"].prompt) == "head"


def test_an_agent_it_was_not_trained_for_is_left_to_others(gateway: Served, made: dict[str, Made]) -> None:
    assert ask(gateway, made["other"].prompt.replace("Ada", "Eve")) == "slot"


def test_a_head_that_fails_leaves_it_to_the_original_and_is_left_alone_after_a_while(
    gateway: Served, made: dict[str, Made]
) -> None:
    broken = ruled_head("Ada", name="broken")
    put_in_line(gateway, replace(broken, scorers={}))
    before = stored(gateway)
    assert [ask(gateway, made["other"].prompt) for _ in range(5)] == ["original"] * 5
    assert gateway.gateway.circuits["should_respond head/broken"].state == "open"
    assert ask(gateway, made["other"].prompt) == "slot"
    assert {sample.source for sample in gateway.samples(before + 6)[before:]} == {"original", "slot"}


def test_audited_decisions_are_answered_by_the_original_and_compared(gateway: Served, made: dict[str, Made]) -> None:
    put_in_line(gateway, audit_percent=100)
    before = stored(gateway)
    assert ask(gateway, made["other"].prompt) == "original"
    sample = newest(gateway, before + 1)
    (attempt,) = gateway.attempts(sample)
    assert (sample.source, sample.decision) == ("original", "RESPOND")
    assert (attempt.model, attempt.mode, attempt.decision) == ("head/should-respond", "live", "IGNORE")
    assert (attempt.agrees, attempt.failure, attempt.named) == (False, None, True)
    # What it is not sure of is drawn too, to see whether people still say whom they mean; the next in line answers.
    assert ask(gateway, made["nobody"].prompt) == "slot"
    (attempt,) = gateway.attempts(newest(gateway, before + 2))
    assert (attempt.agrees, attempt.failure, attempt.named) == (None, "not confident enough", False)


def test_a_share_is_audited_whoever_asks(gateway: Served, made: dict[str, Made]) -> None:
    put_in_line(gateway, audit_percent=30)
    answered = [ask(gateway, made["other"].prompt) for _ in range(60)]
    assert 5 <= answered.count("original") <= 32
    assert set(answered) == {"original", "head"}


def test_in_the_shadow_it_is_compared_beside_whoever_answers(gateway: Served, made: dict[str, Made]) -> None:
    put_in_line(gateway, mode=Mode.SHADOW)
    before = stored(gateway)
    assert ask(gateway, made["other"].prompt) == "slot"
    (attempt,) = gateway.attempts(newest(gateway, before + 1))
    assert (attempt.mode, attempt.model, attempt.agrees) == ("shadow", "head/should-respond", False)
    put_in_line(gateway, mode=Mode.CANARY, share_percent=0)
    assert ask(gateway, made["other"].prompt) == "slot"
    put_in_line(gateway, mode=Mode.CANARY, share_percent=100)
    assert ask(gateway, made["other"].prompt) == "head"


def test_a_shadow_of_the_slot_does_not_hide_what_the_head_answered(gateway: Served, made: dict[str, Made]) -> None:
    gateway.change("should_respond", mode=Mode.SHADOW)
    before = stored(gateway)
    assert ask(gateway, made["other"].prompt) == "head"
    assert newest(gateway, before + 1).model == "head/should-respond"


def test_images_tools_and_endless_prompts_are_not_for_it(gateway: Served, made: dict[str, Made]) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    body = request("chat", made["other"].prompt, tools=tools)
    assert "x-reasoning-source" not in gateway.client.post(PATHS["chat"], json=body).headers
    long = made["other"].prompt.replace("# About Ada\n", "# About Ada\n" + "x" * 500_000)
    assert ask(gateway, long) != "head"


def test_whom_the_agent_answered_is_known_from_the_call_before(gateway: Served, made: dict[str, Made]) -> None:
    """The head is told what no prompt says: that a plan for Ben's message went by, so that what Ada says is for Ben."""
    plan, following = None, None
    for each in make_decisions(300, seed=5):
        if each.model_type == "planning" and plan is None:
            plan = each
        elif plan is not None and each.room == plan.room and each.model_type == "should_respond":
            following = each
            break
    assert plan is not None and following is not None
    asked_with: list[tuple[str | None, ...]] = []

    class Noting(Head):
        def judge(self, moment: object) -> object:  # type: ignore[override]
            asked_with.append(tuple(spoken.answered for spoken in moment.recent if spoken.by_agent))  # type: ignore[attr-defined]
            return super().judge(moment)  # type: ignore[arg-type]

    plain = ruled_head("Ada")
    noting = Noting(**{field.name: getattr(plain, field.name) for field in fields(Head)})
    put_in_line(gateway, noting)
    before = stored(gateway)
    ask(gateway, plan.prompt)
    gateway.samples(before + 1)
    ask(gateway, following.prompt)
    sender = next(line for line in plan.prompt.splitlines() if f"] {plan.sender}: {plan.message}" in line)
    assert asked_with[-1][-1] == sender.partition("[")[2].partition("]")[0]


def test_figures_name_the_head_as_a_place(tmp_path: Path, made: dict[str, Made]) -> None:
    with served(tmp_path) as gateway:
        put_in_line(gateway)
        for name in ("other", "other", "agent"):
            ask(gateway, made[name].prompt)
        put_in_line(gateway, audit_percent=100)
        ask(gateway, made["other"].prompt)
        gateway.samples(4)
        stats = gateway.client.get("/stats").json()
    entry = stats["model_types"]["should_respond"]
    assert {place: part["count"] for place, part in entry["by_source"].items()} == {"head": 2, "slot": 1, "original": 1}
    assert entry["head"]["outcomes"] == {"answered": 2, "not sure": 1, "audited": 1}
    assert (entry["head"]["compared"], entry["head"]["disagreed"], entry["agreement"]) == (1, 1, None)
    assert stats["slots"]["should_respond"]["head"]["model"] == "head/should-respond"
    text = metrics_text(stats).decode()
    assert 'reasoning_gateway_head_decisions_total{model_type="should_respond",outcome="answered"} 2.0' in text
