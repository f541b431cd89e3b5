#!/usr/bin/env bash
# elizaos 2.0.0a5 (PyPI, Python): an answer that was streamed to its last piece ends in a ValueError.
#
# `message_service.handle_message_stream(runtime, message)` yields the answer as it comes. Behind the last piece it makes
# the Memory that it would store of field names which its own type does not have (`entityId`; the type has `entity_id`),
# so whoever iterates gets the whole text and then an error, each time, and the answer is never stored as the agent's.
# `handle_message` answers the same message without one.
#
# Expected: the iterator ends behind the last piece, as that of any stream does.
#
# Seen 2026-11-29, Linux x86_64, Python 3.11:
#   handle_message: answered True, raised None
#   handle_message_stream: answered True, raised 'Protocol message Memory has no "entityId" field.'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet elizaos==2.0.0a5 elizaos-plugin-openai==2.0.0a5 elizaos-plugin-inmemorydb==2.0.0a5
cat > "$work/look.py" <<'PY'
import asyncio
import json
import os
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PLAN = "<response><thought>t</thought><actions>REPLY</actions><text>Hello from the model.</text></response>"


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/embeddings"):
            found = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1] * 1536}], "model": "m"}
            return self.say("application/json", json.dumps(found).encode())
        text = PLAN
        if body.get("stream"):
            parts = [{"role": "assistant", "content": text[at : at + 20]} for at in range(0, len(text), 20)]
            chunks = [{"index": 0, "delta": part, "finish_reason": None} for part in parts]
            chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
            events = [{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [one]} for one in chunks]
            lines = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]
            return self.say("text/event-stream", "".join(lines).encode())
        message = {"role": "assistant", "content": text}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
        self.say("application/json", json.dumps({**answer, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode())

    def say(self, kind, content):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


async def main():
    from elizaos import AgentRuntime, Character, Content, Memory, as_uuid
    from elizaos_plugin_inmemorydb import create_database_adapter
    from elizaos_plugin_openai.plugin import create_openai_elizaos_plugin

    found = {}
    for way in ("handle_message", "handle_message_stream"):
        agent = as_uuid(str(uuid.uuid4()))
        runtime = AgentRuntime(
            character=Character(name="Nova", bio="test agent", system="You are Nova."),
            agent_id=agent,
            adapter=create_database_adapter(str(agent)),
            plugins=[create_openai_elizaos_plugin()],
            log_level="CRITICAL",
            settings={"VALIDATION_LEVEL": "trusted"},
        )
        await runtime.initialize()
        room = as_uuid(str(uuid.uuid4()))
        message = Memory(
            id=as_uuid(str(uuid.uuid4())),
            entity_id=as_uuid(str(uuid.uuid4())),
            room_id=room,
            agent_id=agent,
            content=Content(text="Nova, are you there?", source="test", channel_type="DM"),
        )
        text, raised = "", None
        try:
            if way == "handle_message":
                result = await runtime.message_service.handle_message(runtime, message, None)
                text = result.response_content.text if result.response_content else ""
            else:
                async for part in runtime.message_service.handle_message_stream(runtime, message):
                    text += part if isinstance(part, str) else ""
        except ValueError as error:
            raised = str(error).replace("\n", " ")
        found[way] = ("Hello from the model." in (text or ""), raised)
        print(f"{way}: answered {found[way][0]}, raised {raised!r}", flush=True)
        await runtime.stop()
    return found


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(OPENAI_API_KEY="sk-dummy", OPENAI_BASE_URL=f"http://127.0.0.1:{server.server_port}/v1", NO_PROXY="127.0.0.1")
found = asyncio.run(main())
same = found["handle_message"][:2] == (True, None) and found["handle_message_stream"][0] and found["handle_message_stream"][1]
sys.exit(0 if same else "the behaviour has changed")
PY
"$work/venv/bin/python" "$work/look.py" 2>"$work/noise" | grep "^handle"
