"""aiohttp's kept connections, closed when a provider says something that nobody asked for.

aiohttp 3.14 takes what comes between two requests for the answer to the second: a provider that counts its body wrong,
or says 408 before it closes, would answer the next caller with what was meant for another. nginx closes, and so do we.
The differential tests show when a newer aiohttp does it by itself, or names these parts otherwise.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler


class _Answers(ResponseHandler):
    """What is read from one connection. `kept`: its answer is over, and no other one was asked for."""

    is_idle = False

    def set_response_params(self, **params: Any) -> None:
        self.is_idle = False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if self.is_idle and data:  # without any it only goes on with what has come
            self.close()
        else:
            super().data_received(data)


class Connector(TCPConnector):
    """A pool of such connections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Any = partial(_Answers, loop=self._loop)

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        protocol.is_idle = True
