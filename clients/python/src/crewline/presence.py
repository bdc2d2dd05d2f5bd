"""Who is in a session now, and what they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from . import wire
from .connection import Connection, is_complete_or_again
from .faults import Gone, Lost, Refused
from .session import Following, Session


class Presence:
    """A presence in one session. After a lost connection it is there again with its last state."""

    def __init__(self, connection: Connection, session_id: str, state: dict[str, Any]) -> None:
        self.others: dict[str, dict[str, Any]] = {}
        """Who else is here, by connection: `{member, state}`."""
        self._connection, self._session_id, self._state = connection, session_id, state
        self._here: tuple[Session, Following] | None = None
        self._ended: Exception | None = None
        self._changed = asyncio.Condition()
        self._changes = 0
        self._begun, self._tries = False, 0
        self._running = asyncio.ensure_future(self._run())

    async def update(self, state: dict[str, Any]) -> None:
        """Says what this one does now: a map of at most 1 KiB. Nothing is stored."""
        self._state = state
        if self._here is not None:
            with contextlib.suppress(Lost):
                await self._here[0].tell_presence(self._here[1], state)

    async def changes(self) -> AsyncGenerator[dict[str, dict[str, Any]], None]:
        """Who else is here, now and after every change. Raises `Refused` and `Gone`."""
        seen = -1
        while True:
            async with self._changed:
                while self._ended is None and self._changes == seen:
                    await self._changed.wait()
                if self._ended:
                    raise self._ended
                seen = self._changes
            yield dict(self.others)

    async def close(self) -> None:
        """Leaves the session."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                await self._stay(await self._connection.current())
        except (Refused, Gone) as why:
            self._ended = why
            await self._tell()

    async def _stay(self, session: Session) -> None:
        following = None
        try:
            following = await session.subscribe({"presence": {"session_id": self._session_id}}, {})
            self._here = (session, following)
            self.others.clear()
            await session.tell_presence(following, self._state)
            await self._tell()
            while True:
                frame = await session.next_frame(following)
                if frame[0] == wire.PRESENCE:
                    member, state = frame[2], frame[3]
                    if state is None:
                        self.others.pop(member["connection_id"], None)
                    else:
                        self.others[member["connection_id"]] = {"member": member, "state": state}
                    await self._tell()
                elif frame[0] == wire.ENDED:
                    await is_complete_or_again(frame, session, self._begun, self._tries)
                    self._tries += 1
                    return
                elif frame[0] == wire.SUBSCRIBED:
                    self._begun, self._tries = True, 0
        except Lost:
            return
        finally:
            self._here = None
            if following is not None:
                await session.unsubscribe(following)

    async def _tell(self) -> None:
        async with self._changed:
            self._changes += 1
            self._changed.notify_all()
