"""Models, hardware and prices: found by what people type, chosen by price and room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError
from reasoning_cli.operations.deploy.catalog import choose_hardware, find_model, serving_options
from tests.engines.together.service import INSTANCE_TYPES, MODELS, PROJECT, SOLD_OUT, Service, service


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def test_a_model_is_found_by_name_by_bare_name_and_by_id(together: Service) -> None:
    full = MODELS["planning"]
    model = find_model(together.client, full)
    assert find_model(together.client, full.rpartition("/")[2]) == model
    assert find_model(together.client, model.id) == model
    assert model.name == full


def test_an_unknown_model_gets_the_nearest_name(together: Service) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_model(together.client, "moonmakesmagic/DeepSeek-Qwen-14B-planing")
    assert caught.value.hint == f"did you mean `{MODELS['planning']}`?"
    with pytest.raises(NotFoundError) as caught:
        find_model(together.client, "zzzz")
    assert caught.value.hint is not None and "models search" in caught.value.hint
    with pytest.raises(NotFoundError):
        find_model(together.client, "ml_nothing")


def test_a_bare_name_of_several_models_is_not_guessed(together: Service) -> None:
    models = together.ask("GET", f"{PROJECT}/models")["data"]
    twins = [models[0] | {"id": f"ml_{slug}", "name": f"{slug}/twin"} for slug in ("one", "two")]
    together.fault(r"/models$", status=200, body={"data": twins}, times=2)
    with pytest.raises(ReasoningError, match=r"ml_one.*ml_two"):
        find_model(together.client, "twin")
    assert find_model(together.client, "two/twin").id == "ml_two"


def test_ways_to_serve_are_cheapest_first(together: Service) -> None:
    options = serving_options(together.client, find_model(together.client, MODELS["planning"]))
    prices = [one.price_cents_per_hour for one in options]
    assert prices == sorted(prices)
    assert [one.name for one in options][:2] == ["1xnvidia-a100-80gb", "1xnvidia-h100-80gb"]


def test_hardware_without_a_price_is_no_choice(together: Service) -> None:
    model = find_model(together.client, MODELS["planning"])
    types = together.ask("GET", INSTANCE_TYPES)["data"]
    priced = [one for one in types if one["name"] != "1xnvidia-a100-80gb"]
    together.fault(INSTANCE_TYPES, status=200, body={"data": priced})
    names = [one.name for one in serving_options(together.client, model)]
    assert "1xnvidia-a100-80gb" not in names and "1xnvidia-h100-80gb" in names


def test_the_cheapest_with_room_is_chosen_and_says_why(together: Service) -> None:
    model = find_model(together.client, MODELS["planning"])
    choice = choose_hardware(together.client, model)
    assert (choice.hardware.name, choice.reason) == ("1xnvidia-h100-80gb", "cheapest of 5 that has room now")
    together.sell(regions=[{"name": "us-central-1"}])
    choice = choose_hardware(together.client, model)
    assert (choice.hardware.name, choice.reason) == ("1xnvidia-a100-80gb", "cheapest of 5 that can serve it")
    assert choice.hardware.headroom is None


@pytest.mark.parametrize(
    ("second", "headroom", "is_free"),
    [({"headroom": {"value": 1}}, 1, True), ({"headroom": {"value": 0}}, 0, False), ({}, None, True)],
    ids=["room", "none", "unknown"],
)
def test_room_in_any_region_is_room(
    together: Service, second: dict[str, object], headroom: int | None, is_free: bool
) -> None:
    model = find_model(together.client, MODELS["planning"])
    together.sell(regions=[*SOLD_OUT, {"name": "eu-west-1", **second}])
    option = serving_options(together.client, model)[0]
    assert (option.headroom, option.is_free) == (headroom, is_free)


def test_what_was_asked_for_is_taken_or_refused(together: Service) -> None:
    model = find_model(together.client, MODELS["planning"])
    assert choose_hardware(together.client, model, hardware="2xnvidia-h100-80gb").reason == "as asked for"
    with pytest.raises(NotFoundError, match="cannot be served on `8xnvidia-h100-80gb`") as caught:
        choose_hardware(together.client, model, hardware="8xnvidia-h100-80gb")
    assert caught.value.hint is not None and "1xnvidia-h100-80gb (cr_" in caught.value.hint
    with pytest.raises(LimitError) as full:
        choose_hardware(together.client, model, hardware="1xnvidia-a100-80gb")
    assert full.value.hint is not None and "--hardware" in full.value.hint
    taken = choose_hardware(together.client, model, hardware="1xnvidia-a100-80gb", needs_room=False)
    assert taken.hardware.name == "1xnvidia-a100-80gb"


def test_a_model_without_configs_cannot_be_served(together: Service) -> None:
    with pytest.raises(NotFoundError, match="no config"):
        choose_hardware(together.client, find_model(together.client, "sandbox/no-config-27b"))
