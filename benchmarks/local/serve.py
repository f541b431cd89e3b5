"""A server that speaks OpenAI's API for one model on this machine: `python -m benchmarks.local.serve DIR --name NAME`.

Needs `pip install torch transformers`. One question at a time; the others wait. A stream ends with its caller. For
trying a model that was just trained; vLLM, llama.cpp and Ollama are what serves it in earnest.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


class Model:
    """The model, its tokenizer, and the one question it works at."""

    def __init__(self, folder: str, name: str, threads: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(threads)
        self.name, self.working = name, threading.Lock()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._torch, self.tokenizer = torch, AutoTokenizer.from_pretrained(folder)
        loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._model = loaded.to(self.device).eval()
        self.context: int = loaded.config.max_position_embeddings

    def prompt(self, messages: list[Json]) -> Any:
        """The tokens of a conversation, ready to be answered."""
        made = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        return made["input_ids"].to(self.device)

    def tokens(self, prompt: Any, most: int) -> Iterator[int]:
        """The likeliest tokens one by one, up to the model's own end or so many."""
        torch, cache, given = self._torch, None, prompt
        with torch.inference_mode():
            for _ in range(most):
                out = self._model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, token = out.past_key_values, int(out.logits[0, -1].argmax())
                if token == self.tokenizer.eos_token_id:
                    return
                yield token
                given = torch.tensor([[token]], device=self.device)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    model: Model

    def do_GET(self) -> None:
        listed = {"id": self.model.name, "object": "model", "max_model_len": self.model.context}
        self._whole(200, {"object": "list", "data": [listed]})

    def do_POST(self) -> None:
        body: Json = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.model.working:
            prompt = self.model.prompt(body["messages"])
            most = int(body.get("max_tokens") or body.get("max_completion_tokens") or 512)
            count = int(prompt.shape[1])
            if count >= self.model.context:
                said = f"This model's maximum context length is {self.model.context} tokens, and {count} were given."
                self._whole(400, {"error": {"message": said, "code": "context_length_exceeded"}})
            elif body.get("stream"):
                self._stream(body, prompt, most)
            else:
                made = list(self.model.tokens(prompt, most))
                end = "length" if len(made) >= most else "stop"
                message = {"role": "assistant", "content": self.model.tokenizer.decode(made)}
                choice = {"index": 0, "message": message, "finish_reason": end}
                self._whole(200, {**self._head("chat.completion"), "choices": [choice], "usage": _usage(count, made)})

    def _stream(self, body: Json, prompt: Any, most: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        head, made, sent = self._head("chat.completion.chunk"), [], ""
        try:
            for token in self.model.tokens(prompt, most):
                made.append(token)
                text = self.model.tokenizer.decode(made)
                if not text.endswith("\ufffd"):  # a letter in several tokens
                    self._event({**head, "choices": [_delta({"content": text.removeprefix(sent)})]})
                    sent = text
            self._event({**head, "choices": [_delta({}, "length" if len(made) >= most else "stop")]})
            if (body.get("stream_options") or {}).get("include_usage"):
                self._event({**head, "choices": [], "usage": _usage(int(prompt.shape[1]), made)})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except ConnectionError:
            self.close_connection = True  # the caller left

    def _head(self, kind: str) -> Json:
        return {"id": "local", "object": kind, "created": 0, "model": self.model.name}

    def _event(self, data: Json) -> None:
        self._chunk(f"data: {json.dumps(data)}\n\n".encode())

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
        self.wfile.flush()

    def _whole(self, status: int, payload: Json) -> None:
        content = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is said of single requests."""


def _delta(delta: Json, finish: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _usage(prompt: int, made: list[int]) -> Json:
    return {"prompt_tokens": prompt, "completion_tokens": len(made), "total_tokens": prompt + len(made)}


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--name", required=True, help="what it is asked for by")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def main() -> None:
    chosen = parser().parse_args()
    Handler.model = Model(chosen.folder, chosen.name, chosen.threads)
    with ThreadingHTTPServer(("127.0.0.1", chosen.port), Handler) as server:
        print(f"{chosen.name} at http://127.0.0.1:{chosen.port}/v1", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
