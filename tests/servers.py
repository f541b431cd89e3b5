"""A server in this process that ends at once: uvicorn looks ten times a second whether it is to end, and waits a tenth
of a second more, which a thousand tests would wait for as well."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

_LOOK_SECONDS = 0.01


class Server(uvicorn.Server):
    """Ends like uvicorn's own: no new connection, answers under way are finished, then the application is told."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(_LOOK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(_LOOK_SECONDS)
        for server in self.servers:
            await server.wait_closed()
        await self.lifespan.shutdown()
