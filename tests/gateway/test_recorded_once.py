"""A decision that the gateway recorded and the agent logged is one decision, whoever answered and in what dialect."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.gateway.prompts import PROMPTS
from tests.gateway.serving import Served
from tests.gateway.test_decisions_through_the_gateway import ask
from tests.operations.taking_in import import_file

CODES = "initial code: 11-aa\n{}\nend code: 33-cc"


@pytest.mark.parametrize("face", ["responses", "chat", "messages"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("by", ["slot", "original"])
def test_what_was_recorded_and_logged_is_one_decision(gateway: Served, face: str, stream: bool, by: str) -> None:
    rows = []
    for number, (model_type, prompt) in enumerate(PROMPTS.items()):
        if model_type == "other":
            continue
        if by == "original":
            gateway.change(model_type, closed="the slot is disabled")
        text = prompt if model_type == "coding" else CODES.format(prompt)
        heard = ask(gateway, face, text, stream=stream)
        body = {"modelKey": "TEXT_LARGE", "prompt": text, "response": heard.text, "runId": f"run-{number}"}
        at = datetime.now(UTC).isoformat()
        rows.append({"id": f"log-{number}", "created_at": at, "type": "useModel:TEXT_LARGE", "body": body})
    samples = gateway.samples(3)
    assert {one.source for one in samples} == {by}
    logged = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    with open_store(gateway.database) as store:
        done = import_file(io.BytesIO(logged), store)
        assert (done.recorded, done.added, sum(done.by_type.values())) == (3, 0, 3)
        kept = list(Samples(store).iterate())
    assert sorted(str(one.run_id) for one in kept) == sorted(row["body"]["runId"] for row in rows)  # type: ignore[index]
