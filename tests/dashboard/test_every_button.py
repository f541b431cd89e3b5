"""No button of the dashboard is without a test in the browser that is about it: by name, as the source of both says."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import reasoning_cli.dashboard
from tests.dashboard import test_acting, test_now, test_pages, test_review

FOLDER = Path(inspect.getfile(reasoning_cli.dashboard)).parent
# Each button by where it stands and what it says, or what that is made of; beside it the test that clicks it.
CLICKED = {
    ("frame", "Yes"): test_acting.test_two_tabs_stop_and_start_once,
    ("frame", "No"): test_acting.test_a_stop_names_its_object_and_price_and_a_no_changes_nothing,
    ("frame", "Dark or light"): test_now.test_dark_keeps_nobody_out_either,
    ("wishes", "Go on …"): test_acting.test_a_budget_is_set_once_and_put_on_record,
    ("wishes", "Leave it"): test_acting.test_what_makes_no_sense_is_said_as_the_command_says_it,
    ("now", "Stop …"): test_acting.test_two_tabs_stop_and_start_once,
    ("now", "Start …"): test_acting.test_two_tabs_stop_and_start_once,
    ("now", "Traffic …"): test_acting.test_traffic_is_led,
    ("now", "Stop all …"): test_acting.test_all_are_stopped_by_one_yes,
    ("now", "Budget …"): test_acting.test_a_budget_is_set_once_and_put_on_record,
    ("now", "Approve …"): test_acting.test_what_waits_for_a_yes_is_approved_by_its_gate_or_refused,
    ("now", "Refuse …"): test_acting.test_what_waits_for_a_yes_is_approved_by_its_gate_or_refused,
    ("money", "Look again"): test_pages.test_money_is_that_of_the_bill,
    ("money", "Budget or cap …"): test_acting.test_a_cap_and_the_budget_of_a_type_are_set_from_money,
    ("money", "Compare with Together's bill"): test_pages.test_money_is_that_of_the_bill,
    ("decisions", "Look"): test_pages.test_decisions_are_paged_by_the_server_and_found_by_filter_and_words,
    ("decisions", "Show"): test_pages.test_decisions_are_paged_by_the_server_and_found_by_filter_and_words,
    ("decisions", "Older"): test_pages.test_decisions_are_paged_by_the_server_and_found_by_filter_and_words,
    ("decisions", "Newest"): test_pages.test_decisions_are_paged_by_the_server_and_found_by_filter_and_words,
    ("decisions", "The prompt as it was"): (
        test_pages.test_decisions_are_paged_by_the_server_and_found_by_filter_and_words
    ),
    ("decisions", "Draw"): test_pages.test_who_answered_is_drawn_when_it_is_asked_for,
    ("review", "Accept"): test_review.test_buttons_do_what_the_keys_do,
    ("review", "Reject"): test_review.test_buttons_do_what_the_keys_do,
    ("review", "shown(name, 60)"): test_review.test_buttons_do_what_the_keys_do,
    ("review", "Edit …"): test_review.test_an_answer_is_edited_and_refused_where_the_agent_could_not_use_it,
    ("review", "Skip"): test_review.test_buttons_do_what_the_keys_do,
    ("review", "Undo"): test_review.test_buttons_do_what_the_keys_do,
    ("review", "Store it"): test_review.test_an_answer_is_edited_and_refused_where_the_agent_could_not_use_it,
    ("review", "Leave it"): test_review.test_an_answer_is_edited_and_refused_where_the_agent_could_not_use_it,
    ("train", "Look again"): test_pages.test_an_evaluation_is_shown_side_by_side,
    ("train", "Show"): test_pages.test_an_evaluation_is_shown_side_by_side,
    ("train", "Gate"): test_acting.test_a_yes_promotes_and_another_one_takes_back_what_is_finished,
    ("train", "Approve …"): test_acting.test_a_yes_promotes_and_another_one_takes_back_what_is_finished,
    ("train", "Switch off …"): test_acting.test_a_yes_promotes_and_another_one_takes_back_what_is_finished,
    ("train", "Roll back …"): test_acting.test_a_yes_promotes_and_another_one_takes_back_what_is_finished,
    ("train", "Refuse, go back …"): test_acting.test_what_is_on_its_way_into_its_slot_is_rolled_back,
    ("configuration", "Find"): test_acting.test_a_setting_is_checked_as_typed_and_put_on_record,
    ("configuration", "Change …"): test_acting.test_a_setting_is_checked_as_typed_and_put_on_record,
    ("configuration", "Set …"): test_acting.test_a_setting_is_checked_as_typed_and_put_on_record,
    ("configuration", "Take it out of the file …"): test_acting.test_a_setting_is_checked_as_typed_and_put_on_record,
    ("configuration", "Leave it"): test_acting.test_a_setting_is_checked_as_typed_and_put_on_record,
    ("configuration", "Set the Together key …"): (
        test_acting.test_the_key_of_the_account_is_typed_hidden_and_the_command_has_the_last_word
    ),
    ("configuration", "Set it …"): (
        test_acting.test_the_key_of_the_account_is_typed_hidden_and_the_command_has_the_last_word
    ),
}


def buttons(source: str) -> Iterator[str]:
    """What stands on the buttons that a module makes: by `button(text, …)`, or as a row's `(text, handler)`."""
    for node in ast.walk(ast.parse(source)):
        made = node.args if isinstance(node, ast.Call) and ast.unparse(node.func) == "button" else []
        if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Lambda):
            made = node.elts
        if made:
            yield str(made[0].value) if isinstance(made[0], ast.Constant) else ast.unparse(made[0])


def test_every_button_has_a_test_that_names_it() -> None:
    files = [file for file in FOLDER.rglob("*.py") if file.name != "parts.py"]  # which makes them of what it is given
    offered = {(file.stem, text) for file in files for text in buttons(file.read_text(encoding="utf-8"))}
    assert offered == set(CLICKED)
    for (place, text), test in CLICKED.items():
        said = text.removesuffix(" …")
        assert "(" in text or f'"{said}' in inspect.getsource(test), (place, text, test.__name__)
