"""The client: operations, runs' events, live queries and presence, over a connection that mends itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any

from . import wire
from .auth import Auth, Key
from .connection import Connection, frames_of, is_complete_or_again
from .keys import new_key
from .live import folded
from .presence import Presence
from .protocol import KINDS, Calls, RunEvent


class Client(Calls):
    """A client of one server, as one principal in one workspace. Use it as an async context manager, or `close()` it.

    Everything waits while the connection is away and goes on when it is back. `Refused` says what the server would not do; `Gone` that there
    is no connection any more, nor will be.
    """

    def __init__(self, url: str, auth: Auth | str | None = None) -> None:
        self._connection = Connection(url, Key(auth) if isinstance(auth, str) else auth)

    async def __aenter__(self) -> Client:
        try:
            await self._connection.current()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Leaves the server."""
        await self._connection.close()

    async def principal(self) -> dict[str, Any] | None:
        """Who this is, as the server said when it welcomed; none where nobody was signed in then."""
        principal: dict[str, Any] | None = (await self._connection.current()).welcome.get("principal")
        return principal

    async def request(self, op: str, input: dict[str, Any], *, key: str | None = None, timeout: float | None = None) -> Any:
        """Asks for an operation by a name that need not be known here; `call` is the same with types.

        A mutation gets a `key`, unless one is given: it is sent again after a lost connection and happens once. After `timeout` seconds the
        server gives it up (`timeout`); whoever cancels the waiting task cancels the request.
        """
        options: dict[str, Any] = {}
        if key is not None or KINDS.get(op) == "mutation":
            options["key"] = key or new_key()
        if timeout is not None:
            options["timeout_ms"] = max(1, round(timeout * 1000))
        return await self._connection.request(op, input, options)

    async def follow_run(self, run_id: str, *, after: int = 0, only: list[str] | None = None) -> AsyncGenerator[RunEvent, None]:
        """A run's events, from its start or `after` an offset, live until its end: each once and in order, whatever happens to connections.

        `only` names the types that are wanted. A reader who takes its time holds back only what it is sent."""
        async with contextlib.aclosing(self._connection.follow(run_id, after, only)) as batches:
            async for _, events in batches:
                for event in events:
                    yield event  # type: ignore[misc]

    async def follow_offsets(self, run_id: str, *, after: int = 0, only: list[str] | None = None) -> AsyncGenerator[tuple[int, list[RunEvent]], None]:
        """The same with the offset up to which it goes, for who keeps the position with what was made of it."""
        async with contextlib.aclosing(self._connection.follow(run_id, after, only)) as batches:
            async for offset, events in batches:
                yield offset, events  # type: ignore[misc]

    async def live(self, op: str, input: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """A read that stays true: its answer, and the whole answer again whenever it has changed; after a lost connection only what changed
        meanwhile is sent. Raises `Refused` where it may not be read, or not any more."""
        value, at, epoch, begun, tries = None, None, None, False, 0
        while True:
            session = await self._connection.current()
            if epoch != session.welcome["epoch"]:
                at, epoch = None, session.welcome["epoch"]
            options: dict[str, Any] = {} if at is None else {"from": at}
            async with contextlib.aclosing(frames_of(session, {"query": {"op": op, "input": input}}, options)) as frames:
                async for frame in frames:
                    if frame[0] == wire.SNAPSHOT:
                        value, at = folded(value, frame), frame[2]
                    elif frame[0] == wire.EVENTS:
                        _, _, revision, span, changes = frame[:5]
                        if at is not None and revision <= at:
                            continue
                        if revision - span != at:
                            at = None
                            break
                        value, at = folded(value, frame), revision
                        if not changes:
                            continue
                    elif frame[0] == wire.ENDED:
                        if await is_complete_or_again(frame, session, begun, tries):
                            return
                        tries += 1
                        break
                    else:
                        if frame[0] == wire.SUBSCRIBED:
                            begun, tries = True, 0
                        continue
                    yield value

    @contextlib.asynccontextmanager
    async def presence(self, session_id: str, state: dict[str, Any] | None = None) -> AsyncIterator[Presence]:
        """Present in a session until the block is left: who else is there, and what this one does (`typing`, `viewing`, `cursor`)."""
        presence = Presence(self._connection, session_id, state or {})
        try:
            yield presence
        finally:
            await presence.close()


def connect(url: str, auth: Auth | str | None = None) -> Client:
    """A client of the server at this address (`wss://host/ws`), as whom `auth` says: an API key or access token, `Password(…)`, `Tokens(…)`."""
    return Client(url, auth)
