"""Requests as agents send them, in each dialect, around one prompt."""

from __future__ import annotations

from typing import Any

from reasoning_cli.decisions.examples import EXAMPLES

Json = dict[str, Any]
PATHS = {"responses": "/v1/responses", "chat": "/v1/chat/completions", "messages": "/v1/messages"}
PROMPTS = {**EXAMPLES, "other": "Good morning."}


def request(face: str, prompt: str, *, stream: bool = False, **more: object) -> Json:
    """The body of a call that asks `prompt`."""
    body: Json
    match face:
        case "responses":
            content = [{"type": "input_text", "text": prompt}]
            body = {
                "model": "gpt-4o",
                "input": [{"role": "system", "content": "You are Nova."}, {"role": "user", "content": content}],
            }
            body |= {"temperature": 0, "max_output_tokens": 8192}
        case "chat":
            messages = [{"role": "system", "content": "You are Nova."}, {"role": "user", "content": prompt}]
            body = {"model": "gpt-4o", "messages": messages, "temperature": 0, "max_tokens": 8192}
        case _:
            content = [{"type": "text", "text": prompt}]
            body = {"model": "claude-x", "system": [{"type": "text", "text": "You are Nova."}]}
            body |= {"messages": [{"role": "user", "content": content}], "max_tokens": 8192, "temperature": 0}
            body |= {"stop_sequences": []}
    if stream:
        body["stream"] = True
    return {**body, **more}
