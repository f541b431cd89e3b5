"""A fine-tune of the sandbox learns: good samples make a good model, more make a better one, bad ones a bad one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import process_time

import pytest

from reasoning_cli.decisions.prompts import agent_name, available_actions, available_providers, received_message
from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.engines.together.fine_tune_requests import JobRequest
from reasoning_cli.sandbox.chat import learned
from reasoning_cli.sandbox.chat.answers import WEAK_MODEL, answer
from reasoning_cli.sandbox.chat.prompts import read_prompt
from reasoning_cli.sandbox.server import SandboxServer
from reasoning_cli.sandbox.world.blobs import Blobs
from tests.sandbox.conftest import PROJECT, Api, deployments_of
from tests.sandbox.decisions import decided, decisions, write

Say = Callable[[str], str | None]


def trained(content: str) -> Say:
    blobs, key = Blobs(), hashlib.sha256(content.encode()).hexdigest()
    blobs.put(key, content.encode())
    return lambda prompt: learned.answer(blobs, [key], prompt)


def trained_on(kind: str, count: int, *, wrong: float = 0.0, compact: bool = False, seed: int = 1) -> Say:
    return trained("".join(one.line() for one in decisions(kind, count, seed, wrong=wrong, compact=compact)))


def score(kind: str, say: Say, *, compact: bool = False) -> float:
    """The share of 200 decisions it was not trained on that it takes as the rule does."""
    asked = list(decisions(kind, 200, 99, compact=compact))
    return sum(decided(kind, say(one.prompt) or "") == one.decided for one in asked) / len(asked)


@pytest.mark.parametrize("kind", ["should_respond", "planning"])
def test_more_good_samples_make_a_better_model_and_bad_ones_a_bad_one(kind: str) -> None:
    weak = score(kind, lambda prompt: answer(prompt, WEAK_MODEL))
    few, many = score(kind, trained_on(kind, 12)), score(kind, trained_on(kind, 400))
    assert 0.3 < weak < 0.55
    assert weak < few < many
    assert many > 0.97
    assert score(kind, trained_on(kind, 400, wrong=0.2)) > 0.9, "it bears some noise"
    assert score(kind, trained_on(kind, 400, wrong=0.67)) < 0.45, "labels by chance teach nothing"
    assert score(kind, trained_on(kind, 400, wrong=0.95)) < weak


@pytest.mark.parametrize("kind", ["should_respond", "planning"])
def test_exact_and_compact_prompts_are_one_decision(kind: str) -> None:
    assert score(kind, trained_on(kind, 200), compact=True) > 0.95
    assert score(kind, trained_on(kind, 200, compact=True)) > 0.95


def test_it_answers_as_the_agent_that_is_asked() -> None:
    say = trained_on("planning", 200)
    one = next(one for one in decisions("planning", 50, 5) if one.decided == "REPLY")
    sender = one.prompt.partition("# Received Message\n")[2].partition(":")[0]
    said = say(one.prompt)
    assert said is not None
    assert f"On it, {sender}." in said
    without = one.prompt.replace("Possible response actions: REPLY, IGNORE", "Possible response actions: IGNORE")
    assert decided("planning", say(without.replace("**FACTS**", "**NEWS**")) or "") == "IGNORE", "only what is offered"
    assert "FACTS" not in (say(one.prompt.replace("**FACTS**", "**NEWS**")) or "")


def test_what_it_has_no_samples_of_it_has_not_learned() -> None:
    say = trained_on("planning", 20)
    (one,) = decisions("should_respond", 1, 1)
    assert say(one.prompt) is None
    assert say("Write a function that adds two numbers") is None
    code = {"messages": [{"role": "user", "content": "Write add"}, {"role": "assistant", "content": "```py\nadd\n```"}]}
    assert trained(json.dumps(code))("Write add for me") == "```py\nadd\n```"


def test_preferences_count_against_what_was_worse() -> None:
    (one, *_) = (one for one in decisions("should_respond", 20, 1) if one.decided == "IGNORE")
    worse = one.answer.replace("IGNORE", "RESPOND")
    row = {
        "input": {"messages": [{"role": "user", "content": one.prompt}]},
        "preferred_output": [{"role": "assistant", "content": one.answer}],
        "non_preferred_output": [{"role": "assistant", "content": worse}],
    }
    say = trained(json.dumps(row))
    assert decided("should_respond", say(one.prompt) or "") == "IGNORE"


def test_hostile_prompts_are_answered_all_the_same() -> None:
    say = trained_on("should_respond", 50)
    (one,) = decisions("should_respond", 1, 1)
    for text in ("", "\n", "?" * 20_000, "<response>" * 5000, "# Received Message\n# Focus your response", "\\1\\g<0>"):
        prompt = one.prompt.replace("# Received Message\n", f"# Received Message\n{text}: {text} ")
        assert decided("should_respond", say(prompt) or "") in ("RESPOND", "IGNORE", "STOP")


def test_the_same_samples_say_the_same_and_soon() -> None:
    asked = [one.prompt for one in decisions("should_respond", 100, 7)]
    first = trained_on("should_respond", 5000)
    first(asked[0])
    begin = process_time()
    answers = [first(one) for one in asked]
    assert process_time() - begin < 10, "100 answers: two orders of magnitude above what it takes"
    learned._held.clear()
    second = trained_on("should_respond", 5000)
    assert [second(one) for one in asked] == answers


def test_few_models_are_held_in_memory() -> None:
    for seed in range(learned._MAX_MODELS + 3):
        trained_on("planning", 5, seed=seed)("Possible")
    assert len(learned._held) <= learned._MAX_MODELS


def _deployed(api: Api, model_id: str, name: str) -> None:
    model = api.ok("GET", f"{PROJECT}/models/{model_id}")
    config = api.config(model)
    endpoint = api.endpoint(name)
    body = {
        "name": "first",
        "model": f"projects/{model['projectId']}/models/{model_id}",
        "config": f"projects/{config['projectId']}/configs/{config['id']}",
        "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
    }
    deployment = api.ok("POST", deployments_of(endpoint), body)
    api.advance(300)
    api.route(endpoint, **{deployment["id"]: 1})


def test_a_deployed_fine_tune_beats_its_base(tmp_path: Path) -> None:
    """From the file to the answers, over HTTP, the sandbox started anew in the middle."""
    state, path = tmp_path / "state.json", write(tmp_path / "train.jsonl", "should_respond", 200, 1)
    with SandboxServer(state, speed=0) as server:
        api, client = Api(server.url), TogetherClient(server.url, "sandbox-key")
        with api.http, closing(client):
            file_id = client.upload_file(path)
            api.advance(60)
            job_id = client.create_job(JobRequest(file_id, "should-respond-r1-00000000", model=WEAK_MODEL)).id
            api.advance(300)
            half = client.job(job_id)
    assert path.read_text() not in state.read_text(), "texts are kept beside the state"
    with SandboxServer(state, speed=0) as server:
        api, client = Api(server.url), TogetherClient(server.url, "sandbox-key")
        with api.http, closing(client):
            again = client.job(job_id)
            assert again.status == half.status == "running"
            assert again.created_at == half.created_at
            client.delete_file(file_id)
            api.advance(900)
            job = client.job(job_id)
            assert job.model_object_id is not None
            _deployed(api, job.model_object_id, "tuned")
            base = next(one for one in client.supported_models("llama-3.2"))
            _deployed(api, base.base_model_id or "", "base")
            asked = list(decisions("should_respond", 60, 99))
            right = {}
            for name in ("tuned", "base"):
                right[name] = 0
                for one in asked:
                    turns = [{"role": "user", "content": one.prompt}]
                    text = client.chat(f"sandbox/{name}", turns, max_tokens=500).text
                    right[name] += decided("should_respond", text) == one.decided
            assert right["tuned"] > 55
            assert right["base"] < 40
            api.ok("POST", "/_sandbox/reset")
            assert not list((tmp_path / "state.json.files").glob("*"))


def test_what_goes_on_from_a_result_knows_both_and_an_adapter_answers_too(api: Api, tmp_path: Path) -> None:
    client = TogetherClient(str(api.http.base_url), "sandbox-key")
    with closing(client):
        job, checkpoint = None, None
        for kind in ("should_respond", "planning"):
            file_id = client.upload_file(write(tmp_path / f"{kind}.jsonl", kind, 200, 1))
            api.advance(60)
            base = None if checkpoint else WEAK_MODEL
            request = JobRequest(file_id, f"{kind}-r1", model=base, from_checkpoint=checkpoint)
            checkpoint = client.create_job(request).id
            api.advance(900)
            job = client.job(checkpoint)
        assert job is not None
        made = api.ok("POST", "/_sandbox/endpoints", {"name": "base", "model": WEAK_MODEL})
        api.advance(300)
        client.attach(made["endpoint"]["id"], made["deployment"]["id"], job.adapter_object_id or "")
        api.advance(60)
        for kind in ("should_respond", "planning"):
            right = 0
            for one in decisions(kind, 30, 99):
                turns = [{"role": "user", "content": one.prompt}]
                text = client.chat(f"sandbox/base:{job.adapter_object_name}", turns, max_tokens=500).text
                right += decided(kind, text) == one.decided
            assert right > 27


def test_recorded_prompts_are_read_as_the_program_reads_them(shared: Path) -> None:
    recorded = shared / "traffic" / "elizaos-logs.jsonl"
    if not recorded.exists():
        pytest.skip("no recorded traffic here")
    kinds: Counter[str] = Counter()
    for line in recorded.read_text().splitlines():
        prompt = json.loads(line)["body"].get("prompt") or ""
        asked = read_prompt(prompt)
        kinds[asked.kind] += 1
        if asked.kind == "other":
            continue
        assert (asked.agent, asked.actions, asked.providers) == (
            agent_name(prompt),
            available_actions(prompt),
            available_providers(prompt),
        )
        assert (received_message(prompt) or asked.message).strip().endswith(asked.message)
    assert (kinds["should_respond"], kinds["planning"]) == (6, 14)
