"""A server of the operator's own as real ones behave: by default it does everything right, and a test says what not.

The behaviours are those that were seen at llama.cpp's Python server, and what others are known for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.gateway import canned
from tests.gateway.provider import Answering, Received

Json = dict[str, Any]
MODEL = "local/smol"
_UNENDING = "one two three " * 200


@dataclass
class ModelServer:
    """`limit`: by which name it keeps to the limit of an answer, None for by none; `refuses_limit`: others are refused.
    `context_tokens`: the words it takes in a prompt; a longer one is refused, and as a stream dropped without a word.
    `cuts`: it works at one question at a time, a stream is cut off by the next one; a whole answer is worked out to its
    end whether or not its caller is there. `dies_after`: pieces, then the connection breaks. `says_model`: the name in
    its answers, by default the asked one. `seconds` are for an answer; `worked_seconds` those it was at work.
    """

    listed: list[Json] = field(default_factory=lambda: [{"id": MODEL, "object": "model"}])
    says: Callable[[str], str] = lambda kind: canned.MODEL_SAYS[kind]
    seconds: float = 0
    probability: float | None = -0.0001
    limit: str | None = "max_tokens"
    refuses_limit: bool = False
    context_tokens: int | None = None
    counts_streams: bool = True
    cuts: bool = False
    calls_tools: bool = True
    says_model: str | None = None
    dies_after: int | None = None
    ends: bool = True
    strict: bool = True
    worked_seconds: float = 0
    working: asyncio.Lock = field(default_factory=asyncio.Lock)
    streaming: asyncio.Event | None = None

    async def __call__(self, request: Received, answering: Answering) -> None:
        path = request.target.partition("?")[0]
        if request.method == "GET" and path.endswith("/models"):
            await answering.whole(200, {"object": "list", "data": self.listed})
            return
        if not path.endswith("/chat/completions"):
            await answering.whole(404, {"detail": "Not Found"})
            return
        body = request.json
        if (refusal := self._refusal(body)) is not None:
            if body.get("stream") and refusal[1].get("code") == "context_length_exceeded":
                await answering.head(200, {"content-type": "text/event-stream; charset=utf-8"})
                answering.cut()
                return
            await answering.whole(refusal[0], {"error": refusal[1]})
            return
        if body.get("stream"):
            await self._stream(body, answering)
            return
        async with self.working:
            await asyncio.sleep(self.seconds)
            self.worked_seconds += self.seconds
        await answering.whole(200, self._whole(body))

    def _refusal(self, body: Json) -> tuple[int, Json] | None:
        messages = body["messages"]
        if self.strict and (
            any(message["role"] == "developer" for message in messages) or body.get("temperature", 1) is None
        ):
            return 500, {"message": "Internal Server Error", "type": "internal_server_error"}
        wrong = {"max_tokens", "max_completion_tokens"} - {self.limit}
        if self.refuses_limit and (given := wrong & set(body)):
            message = f"Unsupported parameter: '{given.pop()}' is not supported with this model."
            return 400, {"message": message, "code": "unsupported_parameter"}
        words = sum(len(str(message["content"]).split()) for message in messages)
        if self.context_tokens is not None and words > self.context_tokens:
            message = (
                f"This model's maximum context length is {self.context_tokens} tokens, however you requested {words}"
                f" tokens ({words} in the messages). Please reduce the length of the messages."
            )
            return 400, {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
        return None

    def _text(self, body: Json) -> str:
        asked = canned.last_text(body)
        if "Count from one" not in asked and not asked.startswith(" a a"):
            return self.says(canned.kind_of(asked))
        kept = body.get(self.limit) if self.limit is not None else None
        return _UNENDING if kept is None else "one two " * max(1, kept // 8)

    def _model(self, body: Json) -> str:
        return self.says_model or str(body["model"])

    def _whole(self, body: Json) -> Json:
        answer = canned.chat_answer(self._text(body), self._model(body))
        answer["choices"][0]["logprobs"] = self._logprobs(body)
        return answer

    def _logprobs(self, body: Json) -> Json | None:
        """As llama.cpp has it: nothing is told unless both are asked for."""
        asked = body.get("logprobs") is True and isinstance(body.get("top_logprobs"), int)
        if not asked or self.probability is None:
            return None
        return {"content": [{"token": "x", "logprob": self.probability, "bytes": None, "top_logprobs": []}]}

    def _chunks(self, body: Json) -> list[bytes]:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": self._model(body)}

        def chunk(delta: Json, finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": self._logprobs(body)}
            return canned.sse({**head, "choices": [choice]})

        if body.get("tools") and self.calls_tools:
            function = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
            call = {"index": 0, "id": "c1", "type": "function", "function": function}
            return [chunk({"role": "assistant", "tool_calls": [call]}), chunk({}, "tool_calls")]
        pieces = [chunk({"content": piece}) for piece in canned.pieces(self._text(body))]
        chunks = [chunk({"role": "assistant", "content": ""}), *pieces]
        if self.ends:
            chunks.append(chunk({}, "stop"))
        if self.counts_streams and (body.get("stream_options") or {}).get("include_usage"):
            chunks.append(canned.sse({**head, "choices": [], "usage": canned.chat_answer("")["usage"]}))
        return chunks

    async def _work(self, seconds: float, answering: Answering) -> None:
        """Be at work, and notice when the caller leaves."""
        while seconds > 0:
            await asyncio.sleep(min(seconds, 1))
            self.worked_seconds += min(seconds, 1)
            seconds -= 1
            if seconds > 0:
                await answering.chunk(b": at work\n\n")

    async def _stream(self, body: Json, answering: Answering) -> None:
        if self.cuts and self.streaming is not None:
            self.streaming.set()
        async with self.working if self.cuts else asyncio.Lock():
            interrupted = self.streaming = asyncio.Event()
            chunks = self._chunks(body)
            await answering.head(200, {"content-type": "text/event-stream; charset=utf-8"})
            try:
                for number, event in enumerate(chunks):
                    await self._work(self.seconds / len(chunks), answering)
                    if interrupted.is_set():
                        await answering.raw(b"e\r\ndata: [DONE]\n\n")
                        answering.cut()
                        return
                    if number == self.dies_after:
                        answering.cut()
                        return
                    await answering.chunk(event)
            finally:
                self.streaming = None
            await answering.chunk(b"data: [DONE]\n\n")
            await answering.chunk(b"")
