"""The worker's connection: it connects again by itself, and stops with a reason when that is no use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from . import wire
from .link import Gone, Refused
from .session import Lost, Session

log = logging.getLogger("crewline.worker")

OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
MESSAGE_BYTES = 2 << 20
FIRST_MS, MOST_MS = 250, 15_000


class Connection:
    """Implements `Link` over a WebSocket."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._session: Session | None = None
        self._number = 0
        self._gone: Gone | None = None
        self._changed = asyncio.Condition()
        self._running = asyncio.ensure_future(self._run())

    # Link.

    async def connected(self, after: int) -> int:
        """Waits for a later connection."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._gone or (self._number > after and self._session is not None and not self._session.is_over))
            if self._gone:
                raise self._gone
            return self._number

    async def call(self, op: str, body: dict[str, Any], key: str | None = None) -> Any:
        """Asks; after a new connection again, once the worker has registered on it."""
        registers = op == "worker.register"
        while True:
            session = await self._current(registered=not registers)
            try:
                reply = await session.request(op, body, key)
            except Lost:
                continue
            if registers:
                session.ready.set()
                async with self._changed:
                    self._changed.notify_all()
            return reply

    async def rows(self, op: str, body: dict[str, Any]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The list as it is, on this connection; after the connection's end the caller asks anew."""
        session = await self._current(registered=True)
        following = await session.subscribe({"query": {"op": op, "input": body}}, {})
        rows: list[dict[str, Any]] = []
        try:
            while True:
                frame = await session.next_frame(following)
                if frame[0] == wire.SNAPSHOT:
                    rows = frame[3]["items"]
                    yield list(rows)
                elif frame[0] == wire.EVENTS:
                    for change in frame[4]:
                        rows = changed(rows, change)
                    yield list(rows)
                elif frame[0] == wire.ENDED:
                    if frame[3]["why"] == "refused":
                        raise Refused(frame[3]["fault"])
                    return
        except Lost:
            # Whoever asked hears of the new connection by `connected`.
            await asyncio.Event().wait()
        finally:
            await session.unsubscribe(following)

    async def follow(self, run_id: str, after: int, only: list[str] | None) -> AsyncGenerator[tuple[int, list[dict[str, Any]]], None]:
        """A run's events, from where they were left, over all connections."""
        target = {"run": run_id, **({"only": only} if only else {})}
        at = after
        while True:
            session = await self._current(registered=True)
            following = None
            try:
                following = await session.subscribe(target, {"from": at})
                while True:
                    frame = await session.next_frame(following)
                    if frame[0] == wire.EVENTS:
                        _, _, offset, span, happened = frame[:5]
                        if offset <= at:
                            continue
                        if offset - span != at:
                            break
                        at = offset
                        yield at, happened
                    elif frame[0] == wire.ENDED:
                        why = frame[3]["why"]
                        if why == "refused":
                            raise Refused(frame[3]["fault"])
                        if why != "server":
                            return
                        break
            except Lost:
                continue
            finally:
                if following is not None:
                    await session.unsubscribe(following)

    async def close(self) -> None:
        """Leaves."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    # Connecting.

    async def _current(self, registered: bool) -> Session:
        def found() -> Session | None:
            session = self._session
            if session is None or session.is_over:
                return None
            return session if session.ready.is_set() or not registered else None

        async with self._changed:
            await self._changed.wait_for(lambda: self._gone or found())
            if self._gone:
                raise self._gone
            session = found()
            assert session is not None
            return session

    async def _run(self) -> None:
        tries = refused = 0
        last_close: dict[str, Any] | None = None
        most = MOST_MS
        while True:
            code = None
            try:
                async with open_socket(
                    self._url,
                    subprotocols=[wire.SUBPROTOCOL],  # type: ignore[list-item]
                    compression=None,
                    max_size=MESSAGE_BYTES,
                    open_timeout=OPEN_SECONDS,
                    close_timeout=CLOSE_SECONDS,
                    ping_interval=None,
                ) as socket:
                    session, fault = await self._open(socket, last_close)
                    if session is not None:
                        tries = refused = 0
                        most = session.welcome["reconnect"]["max_ms"]
                        log.info("connected to %s", self._url)
                        await self._serve(session)
                        fault = session.fault
                    with contextlib.suppress(ConnectionClosed):
                        await asyncio.wait_for(socket.wait_closed(), OPEN_SECONDS)
                    code = socket.close_code
                    why = fault["message"] if fault else socket.close_reason or "the connection was lost"
            except InvalidStatus as error:
                status, why = error.response.status_code, f"{self._url} answers with HTTP {error.response.status_code}"
                if status in (400, 401, 403, 404, 426):
                    await self._stop(f"{why}: is it the address of a Crewline server, which ends in /ws?")
                    return
            except InvalidURI:
                await self._stop(f"`{self._url}` is no address of a WebSocket: write it like wss://host/ws")
                return
            except (OSError, InvalidHandshake, ConnectionClosed, wire.Malformed, asyncio.TimeoutError) as error:
                why = str(error) or type(error).__name__
            except Exception as error:
                log.exception("a defect of the worker's connection")
                why = f"{type(error).__name__}: {error}"
            if code is not None and 4100 <= code < 4200:
                refused += 1
                if refused == 2 or code == 4101:
                    await self._stop(f"the server does not take the API key: {why}. Make a new one with `crewline key add`")
                    return
            elif code is not None and 4200 <= code < 4300:
                await self._stop(f"the server has closed the connection for good ({code}): {why}")
                return
            last_close = {"code": code, "at": _now()} if code is not None else None
            tries += 1
            wait = random.uniform(0, min(FIRST_MS * 2 ** min(tries, 16), most)) / 1000
            log.warning("%s; connecting again in %.1f s", why, wait)
            await asyncio.sleep(wait)

    async def _open(self, socket: Any, last_close: dict[str, Any] | None) -> tuple[Session | None, dict[str, Any] | None]:
        hello = {"client": {"name": "crewline-python-worker", "version": _version()}, "access_token": self._key}
        await socket.send(wire.encode(wire.HELLO, {**hello, **({"last_close": last_close} if last_close else {})}))
        fault = None
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await asyncio.wait_for(socket.recv(), OPEN_SECONDS)
                for frame, _ in wire.frames(message):
                    if frame[0] == wire.WELCOME:
                        return Session(socket, frame[1]), None
                    if frame[0] == wire.FAULT:
                        fault = frame[2]
        return None, fault

    async def _serve(self, session: Session) -> None:
        async with self._changed:
            self._session, self._number = session, self._number + 1
            self._changed.notify_all()
        listening = asyncio.ensure_future(session.listen())
        try:
            either: set[asyncio.Future[Any]] = {listening, session.goaway}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if session.goaway.done() and not listening.done():
                # Connects anew at a random moment within the window, so that not all come at once.
                within = session.goaway.result().get("reconnect_within_ms", 0)
                await asyncio.wait({listening}, timeout=random.uniform(0, within / 1000))
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            async with self._changed:
                self._session = None

    async def _stop(self, why: str) -> None:
        async with self._changed:
            self._gone = Gone(why)
            self._changed.notify_all()


def changed(rows: list[dict[str, Any]], change: dict[str, Any]) -> list[dict[str, Any]]:
    """A followed list after one change."""
    if "put" in change:
        row, before = change["put"], change.get("before")
        rows = [one for one in rows if one["id"] != row["id"]]
        place = next((place for place, one in enumerate(rows) if one["id"] == before), len(rows))
        return [*rows[:place], row, *rows[place:]]
    if "remove" in change:
        return [one for one in rows if one["id"] != change["remove"]]
    if "value" in change:
        items: list[dict[str, Any]] = change["value"]["items"]
        return items
    return rows


def connect(url: str, key: str) -> Connection:
    """Connects to the server at this address with a worker's key."""
    if not url:
        raise Gone("there is no server to serve: give its address, like wss://host/ws, or set CREWLINE_URL")
    if not key:
        raise Gone("there is no API key: set CREWLINE_API_KEY to what `crewline key add` has printed")
    return Connection(url, key)


def _version() -> str:
    try:
        return version("crewline")
    except PackageNotFoundError:
        return "0"


def _now() -> int:
    return time.time_ns() // 1_000_000
