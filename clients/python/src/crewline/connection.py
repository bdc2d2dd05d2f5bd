"""The connection to the server: it connects again by itself, and stops with a reason when that is no use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from . import wire
from .auth import Auth, Reason
from .faults import Gone, Lost, Refused
from .session import Following, Session

log = logging.getLogger("crewline")

OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
MESSAGE_BYTES = 2 << 20
FIRST_MS, MOST_MS = 250, 15_000
#: How long a request is tried that the server can't do just then.
PATIENCE_SECONDS = 60.0


class Connection:
    """One socket after another, to one server, as somebody."""

    #: What it says it is.
    NAME = "crewline-python"

    def __init__(self, url: str, auth: Auth | None) -> None:
        self._url, self._auth = url, auth
        self._session: Session | None = None
        self._number = 0
        self._gone: Gone | None = None
        self._changed = asyncio.Condition()
        self._running = asyncio.ensure_future(self._run())

    async def connected(self, after: int = 0) -> int:
        """Waits for a connection later than the one with this number; gives its number, from 1. Raises `Gone`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._gone or (self._number > after and self._session is not None and not self._session.is_over))
            if self._gone:
                raise self._gone
            return self._number

    async def request(self, op: str, body: dict[str, Any], options: dict[str, Any] | None = None, *, fits: bool = False) -> Any:
        """Asks; after a new connection again, and where the server could not do it just then. Raises `Refused` and `Gone`."""
        tries, until = 0, time.monotonic() + PATIENCE_SECONDS
        while True:
            session = await self.current()
            try:
                return await session.request(op, body, options, fits=fits)
            except Lost:
                continue
            except Refused as refused:
                pause = refused.pause(tries)
                if pause is None or time.monotonic() + pause > until:
                    raise
                tries += 1
                await asyncio.sleep(pause)

    async def follow(self, run_id: str, after: int = 0, only: list[str] | None = None) -> AsyncGenerator[tuple[int, list[dict[str, Any]]], None]:
        """A run's events with offsets above `after`, of these types or of all, each time up to an offset; over all connections, each event once
        and in order. It ends with the run. Raises `Refused`, and `Gone`, also when the server's database is another by now."""
        target = {"run": run_id, **({"only": only} if only else {})}
        at, epoch, begun, tries = after, None, False, 0
        while True:
            session = await self.current()
            if epoch not in (None, session.welcome["epoch"]):
                raise Gone(f"run {run_id} was followed to offset {at} of a database that the server has no more: follow it again from the start")
            epoch = session.welcome["epoch"]
            async with contextlib.aclosing(frames_of(session, target, {"from": at})) as frames:
                async for frame in frames:
                    if frame[0] == wire.SUBSCRIBED:
                        begun, tries = True, 0
                    elif frame[0] == wire.EVENTS:
                        _, _, offset, span, happened = frame[:5]
                        if offset <= at:
                            continue
                        if offset - span != at:
                            break
                        at = offset
                        yield at, happened
                    elif frame[0] == wire.ENDED:
                        if await is_complete_or_again(frame, session, begun, tries):
                            return
                        tries += 1
                        break

    async def current(self) -> Session:
        """The connection, once it is ready. Raises `Gone`."""

        def found() -> Session | None:
            session = self._session
            return session if session is not None and session.takes_more and session.ready.is_set() else None

        async with self._changed:
            await self._changed.wait_for(lambda: self._gone or found())
            if self._gone:
                raise self._gone
            session = found()
            assert session is not None
            return session

    async def make_ready(self, session: Session) -> None:
        """Lets those go on who wait for this connection."""
        session.ready.set()
        async with self._changed:
            self._changed.notify_all()

    async def opened(self, session: Session) -> None:
        """What comes first on a connection that is signed in."""
        await self.make_ready(session)

    async def close(self) -> None:
        """Leaves. Whoever waits gets `Gone`."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        if self._gone is None:
            await self._stop("the connection was closed here")

    # Connecting.

    async def _run(self) -> None:
        tries = refused = 0
        last_close: dict[str, Any] | None = None
        most = MOST_MS
        while True:
            code = None
            try:
                _check_address(self._url)
                token = await self._auth.token(reason(refused)) if self._auth else None
                async with open_socket(
                    self._url,
                    subprotocols=[wire.SUBPROTOCOL],  # type: ignore[list-item]
                    compression=None,
                    max_size=MESSAGE_BYTES,
                    open_timeout=OPEN_SECONDS,
                    close_timeout=CLOSE_SECONDS,
                    ping_interval=None,
                ) as socket:
                    session, fault = await self._open(socket, token, last_close)
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
            except Refused as refusal:
                await self._stop(f"the server does not sign in: {refusal}")
                return
            except InvalidStatus as error:
                status, why = error.response.status_code, f"{self._url} answers with HTTP {error.response.status_code}"
                if status in (400, 401, 403, 404, 426):
                    await self._stop(f"{why}: is it the address of a Crewline server, which ends in /ws?")
                    return
            except InvalidURI as error:
                await self._stop(f"`{self._url}` is no address of a WebSocket ({error.msg}): write it like wss://host/ws")
                return
            except (OSError, InvalidHandshake, ConnectionClosed, Lost, wire.Malformed, asyncio.TimeoutError) as error:
                why = str(error) or type(error).__name__
            except Exception as error:
                log.exception("a defect of the connection")
                why = f"{type(error).__name__}: {error}"
            if code is not None and 4100 <= code < 4200:
                refused += 1
                if refused == 2 or (not self._renewable and code == 4101):
                    await self._stop(self._refusal(why))
                    return
            elif code is not None and 4200 <= code < 4300:
                await self._stop(f"the server has closed the connection for good ({code}): {why}")
                return
            last_close = {"code": code, "at": _now()} if code is not None else None
            tries += 1
            wait = random.uniform(0, min(FIRST_MS * 2 ** min(tries, 16), most)) / 1000
            log.warning("%s; connecting again in %.1f s", why, wait)
            await asyncio.sleep(wait)

    @property
    def _renewable(self) -> bool:
        return self._auth is not None and self._auth.renewable

    def _refusal(self, why: str) -> str:
        if self._renewable or self._auth is None:
            return f"the server does not sign in: {why}"
        return f"the server does not take the API key: {why}. Make a new one with `crewline key add`"

    async def _open(self, socket: Any, token: str | None, last_close: dict[str, Any] | None) -> tuple[Session | None, dict[str, Any] | None]:
        hello = {"client": {"name": self.NAME, "version": _version()}, **({"access_token": token} if token else {})}
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
        listening = asyncio.ensure_future(session.listen())
        keeping: asyncio.Future[None] | None = None
        try:
            if self._auth is not None and session.welcome.get("principal") is None:
                await self._auth.renew(session.request)
            async with self._changed:
                self._session, self._number = session, self._number + 1
                self._changed.notify_all()
            await self.opened(session)
            keeping = asyncio.ensure_future(self._keep_signed_in(session))
            either: set[asyncio.Future[Any]] = {listening, session.goaway}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if session.goaway.done() and not listening.done():
                # Connects anew at a random moment within the window, so that not all come at once, when what is under way is answered.
                within = session.goaway.result().get("reconnect_within_ms", 0)
                await asyncio.wait({listening}, timeout=random.uniform(0, within / 1000))
                finished = asyncio.ensure_future(session.finished())
                await asyncio.wait({listening, finished}, return_when=asyncio.FIRST_COMPLETED)
                finished.cancel()
        finally:
            tasks = [task for task in (listening, keeping) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            async with self._changed:
                self._session = None

    async def _keep_signed_in(self, session: Session) -> None:
        while self._auth is not None:
            await session.expiring.wait()
            session.expiring.clear()
            try:
                await self._auth.renew(session.request)
            except Refused as refused:
                # The server closes the connection when the token ends, and the next one says why.
                log.warning("the sign-in can't be renewed: %s", refused)

    async def _stop(self, why: str) -> None:
        async with self._changed:
            self._gone = Gone(why)
            self._changed.notify_all()


async def frames_of(session: Session, target: dict[str, Any], options: dict[str, Any]) -> AsyncGenerator[list[Any], None]:
    """What comes of something that is followed on one connection, until that is lost. Whoever asks for the next has applied the last."""
    following: Following | None = None
    try:
        following = await session.subscribe(target, options)
        while True:
            yield await session.next_frame(following)
    except Lost:
        return
    finally:
        if following is not None:
            await session.unsubscribe(following)


def is_complete(frame: list[Any]) -> bool:
    """Whether an `ended` says that there is no more; else it is to be followed anew. Raises `Refused` where it may not be followed, or is no more."""
    why, fault = frame[3]["why"], frame[3].get("fault")
    if why == "forbidden":
        raise Refused(fault or {"code": "forbidden", "message": "this may not be followed any more"})
    if why == "deleted":
        raise Refused(fault or {"code": "not_found", "message": "what was followed is deleted"})
    if why == "refused":
        raise Refused(fault or {})
    return bool(why == "complete")


async def is_complete_or_again(frame: list[Any], session: Session, begun: bool, tries: int) -> bool:
    """The same, where what was open once is opened again, however often the server can't do it just then: it returns when it is time for that."""
    try:
        return is_complete(frame)
    except Refused as refused:
        if refused.retry not in ("same_key", "after") or not (begun or session.goaway.done()):
            raise
        await asyncio.sleep(refused.backoff(tries))
        return False


def reason(refused: int) -> Reason:
    """Why a token is wanted."""
    return "rejected" if refused else "initial"


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise InvalidURI(url, str(error)) from None


def _version() -> str:
    try:
        return version("crewline")
    except PackageNotFoundError:
        return "0"


def _now() -> int:
    return time.time_ns() // 1_000_000
