"""One sample as one line of a fine-tuning file in Together's conversational format.

A line holds `messages` and nothing else: one system message at most, first, then user and assistant in turn. The user
text is the exact prompt, since a model must be trained on what it will be asked; the assistant text is the answer in
the one form the gateway sends, so what is trained is what is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring as quoted

from reasoning_cli.decisions.answers import InvalidAnswer, read_answer, render_answer
from reasoning_cli.store.samples import Sample

Message = dict[str, str]


def conversation_of(sample: Sample) -> list[Message] | InvalidAnswer:
    """The sample as messages; InvalidAnswer when there is nothing in it a model should learn."""
    answer = read_answer(sample.model_type, sample.prompt, sample.output)
    if isinstance(answer, InvalidAnswer):
        return answer
    messages = [
        {"role": "user", "content": sample.prompt},
        {"role": "assistant", "content": render_answer(answer)},
    ]
    if sample.system:
        messages.insert(0, {"role": "system", "content": sample.system})
    flaw = flaw_of(messages)
    return messages if flaw is None else InvalidAnswer(flaw)


def flaw_of(messages: Sequence[Message]) -> str | None:
    """What Together would refuse in this conversation, or None."""
    turns = list(messages[1:] if messages and messages[0]["role"] == "system" else messages)
    if not turns or any(turn["role"] != ("user", "assistant")[place % 2] for place, turn in enumerate(turns)):
        return "roles out of turn"
    if not any(turn["role"] == "assistant" for turn in turns):
        return "no assistant message"
    for message in messages:
        content = message["content"]
        if not content.strip():
            return f"empty {message['role']} message"
        if "\0" in content:
            return "a NUL character"
        try:
            content.isascii() or content.encode()
        except UnicodeEncodeError:
            return "half a Unicode character"
    return None


def line_of(messages: Sequence[Message]) -> bytes:
    """The messages as one line of UTF-8 JSON, without its end.

    The frame is the same every time; only the texts in it are encoded, which takes a third of the time of a dump.
    """
    turns = [f'{{"role":"{turn["role"]}","content":{quoted(turn["content"])}}}' for turn in messages]
    return f'{{"messages":[{",".join(turns)}]}}'.encode()
