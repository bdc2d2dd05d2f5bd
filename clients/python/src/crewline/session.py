"""One connection to the server, from its welcome to its end: requests, and what is followed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import ormsgpack
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from . import wire
from .faults import Lost, Refused

#: What the server sends on a subscription before it is granted more (the protocol's default).
WINDOW_BYTES = 256 << 10
#: What a message to the server may have where it does not say.
MESSAGE_BYTES = 1 << 20
#: How many requests may be under way where the server does not say.
REQUESTS = 256
#: Applied bytes are granted again in pieces of this size.
GRANT_BYTES = 64 << 10


@dataclass
class Following:
    """What comes of something that is followed."""

    sub: int
    frames: asyncio.Queue[tuple[list[Any], int] | None] = field(default_factory=asyncio.Queue)
    owed: int = 0


class Session:
    """A connection that was welcomed."""

    def __init__(self, socket: ClientConnection, welcome: dict[str, Any]) -> None:
        self.welcome = welcome
        self.ready = asyncio.Event()
        """Set when it is signed in, and whatever else must come first has been done."""
        self.fault: dict[str, Any] | None = None
        """What the server said before it closed."""
        self.goaway: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        """Done when the server asks to connect anew."""
        self.expiring = asyncio.Event()
        """Set when the access token is about to end."""
        self._socket = socket
        limits = welcome.get("limits", {})
        self._message_bytes: int = limits.get("message_bytes", MESSAGE_BYTES)
        self._room = asyncio.Semaphore(limits.get("requests", REQUESTS))
        self._ids, self._subs = itertools.count(1), itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._followed: dict[int, Following] = {}
        self._owed = 0
        self._heard = time.monotonic()
        self._over = False

    @property
    def takes_more(self) -> bool:
        """Whether something may be asked on it: it has not ended, and is not about to."""
        return not self._over and not self.goaway.done()

    async def finished(self) -> None:
        """Waits until everything is answered that was asked."""
        while self._asked:
            await asyncio.wait(self._asked.values())
            # Whoever asked takes the answer first.
            await asyncio.sleep(0)

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended."""
        return self._over

    # Asking.

    async def request(self, op: str, body: dict[str, Any], options: dict[str, Any] | None = None, *, fits: bool = False) -> Any:
        """One request, one answer. Whoever is cancelled while waiting cancels the request. `fits`: whoever made it has looked at its bounds."""
        # The server takes so many at once: more wait here for their turn.
        async with self._room:
            if self._over:
                raise Lost
            id = next(self._ids)
            frame = (wire.REQUEST, id, op, body, *([options] if options else []))
            asking = wire.encode(*frame) if fits else self._fit(f"`{op}`", *frame)
            return await self._answer(id, asking)

    async def _answer(self, id: int, asking: bytes) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[id] = answer
        try:
            await self._send(asking)
            return await answer
        except asyncio.CancelledError:
            if not self._over:
                with contextlib.suppress(Lost):
                    await self._send(wire.encode(wire.CANCEL, id))
            raise
        finally:
            self._asked.pop(id, None)
            if answer.done() and not answer.cancelled():
                # Where sending has failed nobody looks at it.
                answer.exception()

    async def subscribe(self, target: dict[str, Any], options: dict[str, Any]) -> Following:
        """Follows something."""
        if self._over:
            raise Lost
        following = Following(next(self._subs))
        subscribing = self._fit("what is to be followed", wire.SUBSCRIBE, following.sub, target, options)
        self._followed[following.sub] = following
        # Each may have its own window full while its reader takes its time: what they share must not run out before.
        await self._send(wire.encode(wire.CREDIT, 0, WINDOW_BYTES))
        await self._send(subscribing)
        return following

    async def unsubscribe(self, following: Following) -> None:
        """Follows it no more."""
        if self._followed.pop(following.sub, None) is not None and not self._over:
            with contextlib.suppress(Lost):
                # What came and is not read any more has used up what all share.
                while not following.frames.empty():
                    left = following.frames.get_nowait()
                    if left is not None and left[0][0] in (wire.EVENTS, wire.SNAPSHOT):
                        await self._grant(left[1])
                await self._send(wire.encode(wire.UNSUBSCRIBE, following.sub))

    async def next_frame(self, following: Following) -> list[Any]:
        """The next frame of what is followed. What was taken before counts as applied, and is granted again."""
        if following.owed >= GRANT_BYTES:
            owed, following.owed = following.owed, 0
            await self._send(wire.encode(wire.CREDIT, following.sub, owed))
        got = await following.frames.get()
        if got is None:
            raise Lost
        frame, size = got
        if frame[0] in (wire.EVENTS, wire.SNAPSHOT):
            following.owed += size
            await self._grant(size)
        return frame

    async def tell_presence(self, following: Following, state: dict[str, Any]) -> None:
        """Says what this connection does where it is present."""
        await self._send(self._fit("a state", wire.PRESENCE, following.sub, state))

    async def _grant(self, size: int) -> None:
        self._owed += size
        if self._owed >= GRANT_BYTES:
            owed, self._owed = self._owed, 0
            await self._send(wire.encode(wire.CREDIT, 0, owed))

    def _fit(self, what: str, *frame: Any) -> bytes:
        """A frame with what others want to say. One for which the server would end the connection is refused here, for all else that is on it."""
        try:
            return wire.encode_within(self._message_bytes, *frame)
        except wire.Unfit as unfit:
            raise Refused({"code": unfit.code, "message": f"{what} was not sent: {unfit}", "retry": "never"}) from None

    async def _send(self, data: bytes) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed as closed:
            # Whoever asks again at once must not be given this one again: nothing else would ever be done.
            self._over = True
            raise Lost from closed

    # Hearing.

    async def listen(self) -> None:
        """Hears until the connection ends; then lets go of who waits."""
        watching = asyncio.ensure_future(self._watch())
        try:
            async for message in self._socket:
                self._heard = time.monotonic()
                if not isinstance(message, bytes):
                    break
                for frame, size in wire.frames(message):
                    await self._hear(frame, size)
        except (ConnectionClosed, wire.Malformed, ormsgpack.MsgpackDecodeError):
            pass
        finally:
            watching.cancel()
            self._over = True
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(Lost())
            for following in self._followed.values():
                following.frames.put_nowait(None)
            await self._socket.close()

    async def _hear(self, frame: list[Any], size: int) -> None:
        kind = frame[0]
        if kind == wire.REPLY or (kind == wire.FAULT and frame[1] != 0):
            answer = self._asked.get(frame[1])
            if answer is not None and not answer.done():
                if kind == wire.REPLY:
                    answer.set_result(frame[2])
                else:
                    answer.set_exception(Refused(frame[2]))
        elif kind == wire.FAULT:
            self.fault = frame[2]
        elif kind in (wire.SUBSCRIBED, wire.EVENTS, wire.SNAPSHOT, wire.ENDED, wire.PRESENCE):
            following = self._followed.get(frame[1])
            if following is not None:
                following.frames.put_nowait((frame, size))
            elif kind in (wire.EVENTS, wire.SNAPSHOT):
                # Nobody takes it any more; it has used up credit all the same.
                await self._grant(size)
        elif kind == wire.PING:
            with contextlib.suppress(Lost):
                await self._send(wire.encode(wire.PONG, frame[1]))
        elif kind == wire.NOTICE and frame[1].get("type") == "token_expiring":
            self.expiring.set()
        elif kind == wire.GOAWAY and not self.goaway.done():
            self.goaway.set_result(frame[1])

    async def _watch(self) -> None:
        """Ends a connection on which nothing was heard for two heartbeats: the other side is gone, whatever the socket says."""
        quiet = 2 * self.welcome["heartbeat_ms"] / 1000
        while (left := self._heard + quiet - time.monotonic()) > 0:
            await asyncio.sleep(left)
        await self._socket.close(4003)
