"""A worker's connection: what is asked waits until the worker has registered on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from .. import wire
from ..auth import Key
from ..connection import Connection, frames_of, is_complete
from ..faults import Gone, Lost
from ..live import folded
from ..session import Session


class WorkerConnection(Connection):
    """Implements `Link`."""

    NAME = "crewline-python-worker"

    async def call(self, op: str, body: dict[str, Any], key: str | None = None, *, fits: bool = False) -> Any:
        """Asks; after a new connection again, once the worker has registered on it."""
        if op != "worker.register":
            return await self.request(op, body, {"key": key} if key else None, fits=fits)
        while True:
            await self.connected(0)
            session = self._session
            if session is None:
                continue
            try:
                reply = await session.request(op, body)
            except Lost:
                continue
            await self.make_ready(session)
            return reply

    async def opened(self, session: Session) -> None:
        """Registering comes first, which the supervisor does."""

    async def rows(self, op: str, body: dict[str, Any]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The list as it is, on this connection; after the connection's end the caller asks anew."""
        session = await self.current()
        value: Any = None
        async with contextlib.aclosing(frames_of(session, {"query": {"op": op, "input": body}}, {})) as frames:
            async for frame in frames:
                if frame[0] in (wire.SNAPSHOT, wire.EVENTS):
                    value = folded(value, frame)
                elif frame[0] == wire.ENDED:
                    is_complete(frame)
                    return
                else:
                    continue
                yield list(value["items"])
        # Whoever asked hears of the new connection by `connected`.
        await asyncio.Event().wait()


def connect(url: str, key: str) -> WorkerConnection:
    """Connects to the server at this address with a worker's key."""
    if not url:
        raise Gone("there is no server to serve: give its address, like wss://host/ws, or set CREWLINE_URL")
    if not key:
        raise Gone("there is no API key: set CREWLINE_API_KEY to what `crewline key add` has printed")
    return WorkerConnection(url, Key(key))
