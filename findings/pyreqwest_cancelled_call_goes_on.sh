#!/usr/bin/env bash
# pyreqwest 0.15.1 (PyPI): a call that is cancelled while it waits for the server goes on there.
#
# asyncio's `task.cancel()` ends the awaiting task at once, but the request keeps its connection until the server says
# something, however long that takes, before the head of an answer as in the middle of its body; closing the client
# (`await client.close()`) does not end it either. aiohttp 3.14.5 closes at once. Who gives up a slow question to a
# language model goes on paying for it, and a server that takes one question at a time stays blocked.
#
# Seen 2026-11-29, CPython 3.11, Linux:
#   pyreqwest before head: open after 5 s
#   pyreqwest after close(): open
#   pyreqwest in the body: open after 5 s
#   aiohttp before head: closed
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyreqwest==0.15.1 aiohttp==3.14.5
cat > "$work/look.py" <<'PY'
import asyncio

import aiohttp
from pyreqwest.client import ClientBuilder


async def main():
    closed = asyncio.Event()

    async def talk(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/begins" in head:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx")
        await reader.read()  # until the caller closes
        closed.set()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def is_closed(seconds):
        try:
            await asyncio.wait_for(closed.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def given_up(call):
        closed.clear()
        task = asyncio.ensure_future(call)
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    client = ClientBuilder().build()

    async def by_pyreqwest(path):
        async with client.get(base + path).build_streamed() as response:
            while await response.body_reader.read_chunk():
                pass

    async def by_aiohttp():
        async with aiohttp.ClientSession() as session, session.get(base + "/waits"):
            pass

    await given_up(by_pyreqwest("/waits"))
    print("pyreqwest before head:", "closed" if await is_closed(5) else "open after 5 s")
    await client.close()
    print("pyreqwest after close():", "closed" if await is_closed(2) else "open")
    client = ClientBuilder().build()
    await given_up(by_pyreqwest("/begins"))
    print("pyreqwest in the body:", "closed" if await is_closed(5) else "open after 5 s")
    await given_up(by_aiohttp())
    print("aiohttp before head:", "closed" if await is_closed(5) else "open after 5 s")


asyncio.run(main())
PY
"$work/venv/bin/python" "$work/look.py" 2>"$work/noise" | tee "$work/seen"
diff "$work/seen" - <<'EOF'
pyreqwest before head: open after 5 s
pyreqwest after close(): open
pyreqwest in the body: open after 5 s
aiohttp before head: closed
EOF
