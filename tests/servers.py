"""A server in this process that ends at once, and does nothing until then: uvicorn looks ten times a second whether it
is to end, and waits a tenth of a second more, which a thousand tests would wait for as well."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn

_LOOK_SECONDS = 0.01


class Server(uvicorn.Server):
    """Ends like uvicorn's own: no new connection, answers under way are finished, then the application is told."""

    _is_to_end = False
    _running: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    @property
    def should_exit(self) -> bool:
        return self._is_to_end

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._is_to_end = value
        if value and self._running is not None:
            loop, end = self._running
            with contextlib.suppress(RuntimeError):  # it has ended already
                loop.call_soon_threadsafe(end.set)

    async def main_loop(self) -> None:
        end = asyncio.Event()
        self._running = asyncio.get_running_loop(), end
        await self.on_tick(0)
        if not self.should_exit:
            await end.wait()

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
