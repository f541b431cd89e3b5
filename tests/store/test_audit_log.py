"""Which events are of deployments: their endpoints bear the names of slots, whose events are others."""

from __future__ import annotations

import ast
from pathlib import Path

import reasoning_cli
from reasoning_cli.store.audit_log import DONE_TO_DEPLOYMENTS


def test_all_that_is_done_to_an_endpoint_is_known_as_done_to_a_deployment() -> None:
    """An action that is added and not named there would leave who stopped a model, and why, to an older event."""
    found: set[str] = set()
    for path in Path(reasoning_cli.__file__).parent.rglob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "endpoint_name" in text else ():
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Event"):
                continue
            actor, action, subject = node.args[1:4]
            if ast.unparse(subject).endswith("endpoint_name") and ast.unparse(actor) != "TOGETHER":
                found |= {str(part.value) for part in ast.walk(action) if isinstance(part, ast.Constant)}
    assert found >= {"deploy", "shift", "stop", "undeploy"}
    assert found <= set(DONE_TO_DEPLOYMENTS)
