#!/usr/bin/env bash
# @openai/codex 0.171.0 (npm): what a server without WebSockets answers to Codex decides whether it goes on at all.
#
# With `openai_base_url` in its config.toml (or `supports_websockets = true` at a provider of one's own; without that
# line it never asks) `codex exec` opens `GET /v1/responses` as a WebSocket first. A 426 makes it `POST` at once,
# whatever stands in that answer. At a 404, 405 or 501 it asks seven times in about seven seconds and posts then. At a
# 400 it asks twice and ends with exit code 1, and never posts, though a `POST` would have been answered.
#
# Seen 2026-11-29, Linux x86_64, Node from Debian (npm installs some 400 MB):
#   426: 1 GET, 1 POST, exit code 0
#   404: 7 GET, 1 POST, exit code 0
#   405: 7 GET, 1 POST, exit code 0
#   501: 7 GET, 1 POST, exit code 0
#   400: 2 GET, 0 POST, exit code 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" @openai/codex@0.171.0 >"$work/noise"
cat > "$work/look.py" <<'PY'
import json
import os
import subprocess
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

work = Path(sys.argv[1])
asked = Counter()
status = 0


def event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def said(text):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
    whole = {"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [item]}
    return (
        event("response.created", response={**whole, "status": "in_progress", "output": []})
        + event("response.output_item.done", output_index=0, item=item)
        + event("response.completed", response=whole)
    )


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, kind, body):
        asked[self.command] += 1
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        assert self.headers["upgrade"] == "websocket"
        self.answer(status, "application/json", b'{"error": {"message": "no WebSockets here"}}')

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(200, "text/event-stream", said("hello"))

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
home, project = work / "home", work / "project"
home.mkdir()
subprocess.run(["git", "init", "--quiet", project], check=True)
base = f"http://127.0.0.1:{server.server_port}/v1"
(home / "config.toml").write_text(f'openai_base_url = "{base}"\ncheck_for_update_on_startup = false\n')
environ = {"PATH": os.environ["PATH"], "HOME": str(home), "CODEX_HOME": str(home), "CODEX_API_KEY": "sk-dummy"}
environ |= {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}  # what it looks up elsewhere
command = [work / "node_modules" / ".bin" / "codex", "exec", "--sandbox", "read-only", "Say hello."]
for status in (426, 404, 405, 501, 400):
    asked.clear()
    done = subprocess.run(command, cwd=project, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    print(f"{status}: {asked['GET']} GET, {asked['POST']} POST, exit code {done.returncode}", flush=True)
PY
python3 "$work/look.py" "$work" 2>"$work/wrong" | tee "$work/seen" || cat "$work/wrong"
diff "$work/seen" - <<'SEEN'
426: 1 GET, 1 POST, exit code 0
404: 7 GET, 1 POST, exit code 0
405: 7 GET, 1 POST, exit code 0
501: 7 GET, 1 POST, exit code 0
400: 2 GET, 0 POST, exit code 1
SEEN
