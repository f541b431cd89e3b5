"""The tour's agent at work: a provider that answers it as the original would, and the agent's calls to a gateway."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

from reasoning_cli.commands.demo.synthetic_agent import Made


@contextmanager
def original_provider(made: Iterable[Made]) -> Iterator[str]:
    """A provider on a free port that knows the answers to these decisions; its base, with `/v1`."""
    answers = {decision.prompt: decision.output for decision in made}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out as two writes

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = body["messages"][-1]["content"]
            said = answers.get(prompt, "I do not know.")
            tokens = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(said) // 4}
            answer = {
                "id": "chatcmpl-tour",
                "object": "chat.completion",
                "created": 0,
                "model": body.get("model"),
                "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
                "usage": {**tokens, "total_tokens": sum(tokens.values())},
            }
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="provider", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


# A shadow is asked as often, and has to keep up.
_PAUSE_SECONDS = 0.05


class Agent:
    """An agent that asks a gateway for its decisions, one after another."""

    def __init__(self, base: str, made: Iterator[Made]) -> None:
        self._address, self._made = base.removeprefix("http://"), made
        self.asked = self.failed = 0

    def ask(self, count: int | None = None, until: threading.Event | None = None) -> None:
        """Put the next decisions, so many or until told to stop; with `until` at an agent's pace."""
        connection = HTTPConnection(self._address, timeout=30)  # kept open, as an agent's client does
        for decision in islice(self._made, count):
            if until is not None and until.wait(_PAUSE_SECONDS):
                break
            self.asked += 1
            body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": decision.prompt}]})
            try:
                connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                said = json.loads(answer.read())
                self.failed += answer.status != 200 or not said["choices"][0]["message"]["content"]
            except (OSError, HTTPException, ValueError, KeyError):
                self.failed += 1
                connection.close()
        connection.close()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Meanwhile it goes on asking."""
        ended = threading.Event()
        thread = threading.Thread(target=self.ask, kwargs={"until": ended}, name="agent", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(30)
