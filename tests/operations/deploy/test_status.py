"""What is shown of models and money: as last seen, and after a look."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.operations.deploy.status import last_look, model_statuses, refresh
from tests.engines.together.service import MODELS, Service, service

ON = dict.fromkeys(MODELS, True)


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def test_nothing_deployed_is_three_slots_that_are_off(together: Service) -> None:
    at = refresh(together.client, together.store)
    lines = model_statuses(together.store, MODELS, ON, at)
    assert [(one.name, one.state, one.burn_cents_per_hour, one.model_name) for one in lines] == [
        (model_type, "off", 0, name) for model_type, name in MODELS.items()
    ]
    assert last_look(together.store) is None


def test_a_look_sees_what_changed_meanwhile(together: Service) -> None:
    together.deploy(max_replicas=3)
    together.scale(3, 3)
    together.advance(600)
    at = refresh(together.client, together.store)
    line = next(one for one in model_statuses(together.store, MODELS, ON, at) if one.model_type == "planning")
    assert line.record is not None
    assert (line.state, line.record.ready_replicas, line.burn_cents_per_hour) == ("READY", 3, 3 * 549)
    assert last_look(together.store) == line.record.state_at == at
    assert line.ready_since is not None and (at - line.ready_since).total_seconds() == 600
    assert abs(line.usage.cents - next(iter(together.metered().values()))) < Decimal("1e-9")


def test_one_being_made_stands_in_its_line_before_it_is_in_the_slot(together: Service) -> None:
    together.fault(r"/deployments/dep_", cut="before")
    with pytest.raises(Exception, match="cannot reach"):
        together.deploy()
    together.clear_faults()
    lines = model_statuses(together.store, MODELS, ON, together.client.now())
    assert [(one.name, one.state) for one in lines] == [
        ("should_respond", "off"),
        ("planning", "creating"),
        ("coding", "off"),
    ]


def test_a_deployment_without_slot_stands_below(together: Service) -> None:
    together.deploy()
    together.deploy(endpoint="planning-2")
    lines = model_statuses(together.store, MODELS, ON, together.client.now())
    assert [(one.name, one.model_type) for one in lines[3:]] == [("planning", None)]
    assert lines[1].record is not None and lines[1].record.endpoint_name == "planning-2"
