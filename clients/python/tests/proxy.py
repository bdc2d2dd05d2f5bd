"""A link between client and server that can be cut."""

from __future__ import annotations

import asyncio


class Proxy:
    """Passes bytes on from its own port to another, until it is cut or closed."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self.connections = 0
        """How many connections there were."""
        self.cut_after: int | None = None
        """Cuts the first connection by itself when so many bytes came from the server on it, the second after twice as many, and so on."""

    @property
    def is_used(self) -> bool:
        """Whether a connection goes through."""
        return bool(self._passing)

    async def start(self) -> str:
        """Listens; where."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"

    def cut(self) -> None:
        """Ends every connection in the middle of whatever is being said."""
        for task in self._passing:
            task.cancel()

    async def close(self) -> None:
        """Listens no more."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        try:
            most = None if self.cut_after is None else self.cut_after * self.connections
            ways = [asyncio.ensure_future(pump(reader, back, None)), asyncio.ensure_future(pump(there, writer, most))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            writer.transport.abort()
            back.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None) -> None:
    """Passes bytes on, at most so many."""
    passed = 0
    while data := await reader.read(4096):
        if most is not None:
            data = data[: most - passed]
        passed += len(data)
        writer.write(data)
        await writer.drain()
        if passed == most:
            return
