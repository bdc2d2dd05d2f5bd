"""A run that this worker executes under a lease: from being assigned to being ended, put away, given back, or lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from ..keys import new_key
from . import events, printed
from .children import Child, Children
from .link import Gone, Link, Refused
from .past import Past
from .served import Served, Settings
from .window import Window

log = logging.getLogger("crewline.worker")

#: What a worker hears of its run.
HEARD = ["run.cancel_requested", "run.pause_requested", "run.resumed", "steer.received", "approval.answered"]
#: Faults after which the same request may go through.
PASSING = {"unavailable", "internal", "timeout", "rate_limited", "too_many", "disconnected"}
#: What one request brings of a file.
PART_BYTES = 512 << 10


class Assignment:
    """One lease."""

    def __init__(
        self,
        lease: dict[str, Any],
        served: Served | None,
        link: Link,
        children: Children,
        settings: Settings,
        stops: Callable[[], Awaitable[bool]],
    ) -> None:
        self.lease = lease
        self.run_id: str = lease["run_id"]
        self.epoch: int = lease["epoch"]
        self._served = served
        self._link = link
        self._children = children
        self._settings = settings
        self._stops = stops
        self._wake = asyncio.Event()
        self.window = Window(self._wake)
        self._starting: asyncio.Task[Child] | None = None
        self._child: Child | None = None
        self._asks: deque[tuple[int, dict[str, Any]]] = deque()
        self._questions: dict[str, int] = {}
        self._untold: list[dict[str, Any]] = []
        self._answered: dict[str, dict[str, Any]] = {}
        self._ending: dict[str, Any] | None = None
        self._cancelling = False
        self.lost = False
        self._released = False
        self._lifting: asyncio.Future[None] | None = None

    @property
    def held(self) -> dict[str, Any]:
        """As the server is told what is held."""
        return {"run_id": self.run_id, "lease_epoch": self.epoch}

    # From outside.

    def lose(self) -> None:
        """The lease is someone else's, or gone: the crew stops where it is, and nothing more is told."""
        if not self.lost:
            self.lost = True
            self._wake.set()
            self._lifting = asyncio.ensure_future(self.window.lift())
            self._kill()

    async def cancel(self, mode: Literal["graceful", "now"]) -> None:
        """A person asked for the run's end."""
        self._cancelling = True
        await self.window.lift()
        if self._child is not None:
            self._child.cancel(mode)
        elif self._starting is not None:
            self._starting.cancel()

    async def release(self) -> None:
        """Gives the run back: another worker begins where its log ends."""
        self._released = True
        await self.window.lift()
        self._kill()

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
        elif self._starting is not None:
            self._starting.cancel()

    # From beginning to end.

    async def execute(self) -> None:
        """Executes the run, and tells how it ended."""
        beside: list[asyncio.Task[Any]] = []
        try:
            past, head = await self._read_past()
            sender = asyncio.ensure_future(self._send())
            beside.append(sender)
            if self.lost:
                return
            if past.cancel is not None:
                self._end("cancelled")
            elif self._served is None:
                crew = self.lease["crew"]
                self._end("failed", fault=events.fault("not_found", f"the worker {self._settings.name} does not serve the crew `{crew}`"))
            else:
                beside.append(asyncio.ensure_future(self._hear_all(head)))
                await self._work(self._served, past)
            await sender
        except Refused as refused:
            log.warning("run %s was not carried on: %s", self.run_id, refused)
            self.lose()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            if self._child is not None:
                self._child.kill()
                await self._child.cleared()

    async def _read_past(self) -> tuple[Past, int]:
        past, head = Past(), int(self.lease["history_head"])
        offset = 0
        if head > 0:
            async with contextlib.aclosing(self._link.follow(self.run_id, 0, None)) as log_so_far:
                async for offset, happened in log_so_far:
                    past.take(happened)
                    if offset >= head:
                        break
        return past, offset

    async def _work(self, served: Served, past: Past) -> None:
        job = {
            "op": "run",
            "kind": served.kind,
            "target": served.target,
            "approve": served.approve,
            "run_id": self.run_id,
            "attempt": self.lease["attempt"],
            "crew": self.lease["crew"],
            "inputs": self.lease["inputs"],
            "past": past.told(),
            "hot_seconds": self._settings.hot_seconds,
        }
        self._starting = asyncio.ensure_future(self._children.start(job))
        await asyncio.wait({self._starting})
        if self._starting.cancelled():
            # What is loaded beforehand takes its time.
            self._end("released" if self._released else "cancelled")
            return
        try:
            child = self._child = self._starting.result()
        except (OSError, ChildProcessError) as error:
            self._end("failed", fault=events.fault("internal", f"the worker could not start a process for the run: {error}"))
            return
        for message in self._untold:
            child.line.send(message)
        if self.lost or self._released:
            child.kill()
        elif self._cancelling:
            child.cancel()
        said = [
            asyncio.ensure_future(printed.told(child.output, "stdout", "info", self.window.add)),
            asyncio.ensure_future(printed.told(child.errors, "stderr", "warn", self.window.add)),
        ]
        try:
            end = await self._listen(child)
            status = await child.cleared()
            # Everything that could still write there has ended with it.
            await asyncio.gather(*said)
        finally:
            for task in said:
                task.cancel()
        await self._conclude(end, status)

    async def _listen(self, child: Child) -> dict[str, Any] | None:
        """Takes what the run's process says, until it says how it ended, or is gone. Reading waits for room: that holds the crew back."""
        while (told := await child.said()) is not None:
            if told["op"] == "event":
                await self.window.add(told["event"])
            elif told["op"] in ("ask", "keep"):
                self._asks.append((self.window.last, told))
                self._wake.set()
            else:
                end: dict[str, Any] = told
                return end
        return None

    async def _conclude(self, end: dict[str, Any] | None, status: int) -> None:
        told_to_end = end is not None and end["status"] == "cancelled" and not self._cancelling
        if told_to_end and await self._stops():
            # What stops a worker may tell all of its processes at once.
            self._released = True
        if self._released and (end is None or end["status"] != "succeeded"):
            self._end("released")
        elif told_to_end:
            self._end("failed", fault=events.fault("internal", "something outside of the run has told its process to end, by SIGTERM"))
        elif end is not None:
            self._end(end["status"], output=end.get("output"), fault=end.get("fault"))
        elif self._cancelling:
            self._end("cancelled")
        else:
            self._end("failed", fault=events.fault("internal", died(status)))

    def _end(self, status: str, **more: Any) -> None:
        self._ending = {"status": status, **{name: value for name, value in more.items() if value is not None}}
        self._wake.set()

    # What people say.

    async def _hear_all(self, head: int) -> None:
        try:
            async for _, happened in self._link.follow(self.run_id, head, HEARD):
                for event in happened:
                    await self._heard(event)
        except Gone:
            # The worker ends, and says why.
            pass
        except Refused as refused:
            # One that was put away or given back is no more this worker's to follow.
            if self._ending is None and not self.lost:
                log.warning("run %s can't be followed: %s", self.run_id, refused)
        except Exception:
            log.exception("run %s", self.run_id)
        if self._ending is None:
            # The run has ended, or is someone else's: nobody could stop it here any more.
            self.lose()

    async def _heard(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "run.cancel_requested":
            await self.cancel(event["mode"])
        elif kind == "approval.answered":
            self._answer(event["approval"])
        elif kind == "steer.received":
            self._tell({"op": "steer", "steer_id": event["steer_id"], "text": event["text"]})
        elif kind in ("run.pause_requested", "run.resumed"):
            self._tell({"op": "pause", "paused": kind == "run.pause_requested"})

    def _tell(self, message: dict[str, Any]) -> None:
        """Tells the run's process; what comes before that is there is told when it is."""
        if self._child is None:
            self._untold.append(message)
        else:
            self._child.line.send(message)

    def _answer(self, row: dict[str, Any]) -> None:
        number = self._questions.pop(row["id"], None)
        if number is None:
            # It was answered before the server's reply to the question was read.
            self._answered[row["id"]] = row
        else:
            self._tell({"op": "answer", "n": number, "approval": row})

    # What the server is told, in order.

    async def _send(self) -> None:
        try:
            await self._send_all()
        except BaseException:
            # Nobody tells the server any more what the crew does: it must not wait for room.
            self.lose()
            raise

    async def _send_all(self) -> None:
        while not self.lost:
            if self._asks and self.window.stored >= self._asks[0][0]:
                told = self._asks.popleft()[1]
                await (self._ask(told) if told["op"] == "ask" else self._keep(told))
            elif (batch := self.window.batch()) is not None:
                await self._append(*batch)
            elif self._ending is not None and not self._asks:
                await self._finish(self._ending)
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _append(self, seq: int, batch: list[events.Event]) -> None:
        try:
            # The window has looked at those that go together.
            reply = await self._call("run.append", {**self.held, "seq": seq, "events": batch}, fits=len(batch) > 1)
            await self.window.acknowledge(reply["seq"])
        except Refused as refused:
            if refused.reason == "sequence":
                stored = int((refused.fault.get("current") or {}).get("seq", -1))
                if stored < self.window.stored:
                    raise
                await self.window.rewind(stored)
                return
            if refused.code not in ("invalid", "too_large"):
                raise
            # What the server can't read now it can't read later either: the run ends, and says so.
            log.error("run %s: the server refused its events: %s", self.run_id, refused)
            await self.window.lift()
            await self.window.acknowledge(self.window.last)
            await self._give_up(f"the server refused what the run told of itself: {refused}")

    async def _give_up(self, message: str) -> None:
        self._kill()
        fault = events.fault("internal", message)
        await self._call("run.finish", {**self.held, "status": "failed", "fault": fault}, key=True)
        self.lost = True

    async def _ask(self, told: dict[str, Any]) -> None:
        known = told["known"]
        try:
            if known is None:
                row = await self._call("approval.request", {**self.held, **told["asked"]}, key=True)
            else:
                row = {"id": known, "status": "pending"}
        except Refused as refused:
            if refused.code == "lease_lost":
                raise
            if self._ending is not None and self._ending["status"] == "parked":
                # There is nothing that it could wait for.
                self._ending = {"status": "failed", "fault": events.fault(refused.code, f"a question was refused: {refused}")}
            self._tell({"op": "answer", "n": told["n"], "fault": refused.fault})
            return
        self._questions[row["id"]] = told["n"]
        answered = self._answered.pop(row["id"], None)
        if answered is not None:
            self._answer(answered)

    async def _keep(self, told: dict[str, Any]) -> None:
        name, media_type, content = told["name"], told["media_type"], memoryview(told["content"])
        parts = [bytes(content[at : at + PART_BYTES]) for at in range(0, len(content), PART_BYTES)] or [b""]
        named = {"name": name} if media_type is None else {"name": name, "media_type": media_type}
        try:
            row = await self._call("artifact.create", {**self.held, **named, "bytes": parts[0]}, key=True)
            for part in parts[1:]:
                await self._call("artifact.append", {**self.held, "id": row["id"], "bytes": part}, key=True)
        except Refused as refused:
            if refused.code == "lease_lost":
                raise
            self._tell({"op": "answer", "n": told["n"], "fault": refused.fault})
            return
        self._tell({"op": "answer", "n": told["n"]})

    async def _finish(self, ending: dict[str, Any]) -> None:
        try:
            await self._tell_end(ending)
        except Refused as refused:
            if refused.code == "lease_lost" or self.lost:
                raise
            # Left as it is, the run would be executed again and again.
            await self._give_up(f"the server refused how the run ended: {refused}")

    async def _tell_end(self, ending: dict[str, Any]) -> None:
        if ending["status"] == "parked":
            try:
                await self._call("run.park", self.held, key=True)
                return
            except Refused as refused:
                if refused.code != "conflict":
                    raise
                # Somebody has just answered: it is begun again at once.
                ending = {"status": "released"}
        if ending["status"] == "released":
            await self._call("run.release", self.held, key=True)
        else:
            await self._call("run.finish", {**self.held, **ending}, key=True)

    async def _call(self, op: str, body: dict[str, Any], key: bool = False, fits: bool = False) -> Any:
        """Asks until there is an answer; a fault that passes is waited for."""
        made = new_key() if key else None
        wait = 0.2
        while True:
            try:
                return await self._link.call(op, body, made, fits=fits)
            except Refused as refused:
                if refused.code not in PASSING or self.lost:
                    raise
                log.info("run %s: %s: %s; trying again", self.run_id, op, refused)
                await asyncio.sleep(refused.fault.get("retry_after_ms", wait * 1000) / 1000)
                wait = min(wait * 2, 10)


def died(status: int) -> str:
    """Why a process ended that said nothing, for whoever started the run."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            name = signal.Signals(number).name
            hint = {
                "SIGSEGV": "native code that the crew uses has crashed; the run's log may say where",
                "SIGKILL": "something outside ended it; when memory runs out the system does that",
                "SIGABRT": "native code that the crew uses gave up; the run's log may say why",
            }.get(name, "")
            return f"the run's process was ended by {name}" + (f": {hint}" if hint else "")
        return f"the run's process was ended by signal {number}"
    return f"the crew ended its own process with exit code {os.WEXITSTATUS(status)} before it was done"
