"""The process that owns the connection and the leases. It imports no agent framework: a crew that hogs its interpreter can't starve a lease."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

from .assignment import PASSING, Assignment, died
from .children import Children
from .link import Gone, Link, Refused
from .served import Served, Settings

log = logging.getLogger("crewline.worker")

#: How long it takes at most to tell the server that the worker stops, and to be told that after its runs' processes were.
TOLD_SECONDS = 1.0
#: How long giving runs back may take; where the server is away it finds out by itself.
RELEASE_SECONDS = 10.0
#: How long a crew may take to be imported when the worker starts; meanwhile nothing is served.
DESCRIBE_SECONDS = 60.0


class Supervisor:
    """Registers, takes leases, keeps them, and lets each be executed."""

    def __init__(self, link: Link, served: list[Served], settings: Settings) -> None:
        self._link = link
        self._served = {one.name: one for one in served}
        self._settings = settings
        self._children = Children(settings.preload, settings.environment)
        self._assignments: dict[str, Assignment] = {}
        self._executing: set[asyncio.Task[None]] = set()
        self._ended: deque[tuple[str, int]] = deque(maxlen=1000)
        self._rows: list[dict[str, Any]] = []
        self._lease_seconds = 10.0
        self._draining, self._hurried = asyncio.Event(), asyncio.Event()
        self._gives_no_more = asyncio.Event()
        self._registering = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self) -> None:
        """Serves until it is drained, or the connection has ended for good."""
        connection = asyncio.ensure_future(self._connections())
        renewing = asyncio.ensure_future(self._renew())
        draining = asyncio.ensure_future(self._drained())
        try:
            done, _ = await asyncio.wait({connection, renewing, draining}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (connection, renewing, draining):
                task.cancel()
            await asyncio.gather(connection, renewing, draining, return_exceptions=True)
            for task in self._executing:
                task.cancel()
            await asyncio.gather(*self._executing, return_exceptions=True)
            await self._children.close()

    def drain(self) -> None:
        """Takes no more runs, and ends when those that it has are ended. Asked twice: gives them back at once."""
        if self._draining.is_set():
            self._hurried.set()
        self._draining.set()

    async def _drained(self) -> None:
        await self._draining.wait()
        log.info("draining: %d runs to end", len(self._assignments))
        # The server is told beside: it may be away.
        telling = asyncio.ensure_future(self._tell_drained())
        waits = [asyncio.ensure_future(event.wait()) for event in (self._idle, self._hurried)]
        await asyncio.wait(waits, timeout=self._settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._assignments:
            log.warning("giving %d runs back, which have not ended in time", len(self._assignments))
            await asyncio.wait({telling}, timeout=TOLD_SECONDS)
            for assignment in list(self._assignments.values()):
                await assignment.release()
            await asyncio.wait({asyncio.ensure_future(self._idle.wait())}, timeout=RELEASE_SECONDS)
        telling.cancel()

    async def _tell_drained(self) -> None:
        if self._assignments:
            await self._register()
        self._gives_no_more.set()

    async def _stops(self) -> bool:
        """Whether the worker is told to stop, just before or just after this is asked; then it returns when the server gives it no more runs:
        one that is given back must not come again."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._draining.wait(), TOLD_SECONDS)
            await asyncio.wait_for(self._gives_no_more.wait(), TOLD_SECONDS)
        return self._draining.is_set()

    async def _describe(self, served: Served) -> None:
        """Learns in a process of its own what a crew wants. One that can't be imported is served all the same: its runs say why they fail."""
        child = await self._children.start({"op": "describe", "target": served.target})
        told: dict[str, Any] | None = None
        printed = asyncio.gather(child.output.read(), child.errors.read())
        hung = asyncio.get_running_loop().call_later(DESCRIBE_SECONDS, child.kill)
        while (message := await child.said()) is not None:
            told = message
        status = await child.cleared()
        hung.cancel()
        _, errors = await printed
        if told is not None and told["status"] == "described":
            served.description = served.description or told["described"]["description"]
            served.input_schema = served.input_schema or told["described"]["input_schema"]
            return
        if told is not None:
            why = told["fault"]["message"]
        elif hung.when() <= asyncio.get_running_loop().time():
            why = f"importing `{served.target}` has taken longer than {DESCRIBE_SECONDS:.0f} s"
        else:
            why = died(status)
        log.error("the crew `%s` can't be made: %s\n%s", served.name, why, errors.decode("utf-8", "replace")[-4000:])
        served.description = served.description or f"can't be made: {why}"

    # The connection and what it holds.

    async def _connections(self) -> None:
        """Registers on every new connection, and then hears what is assigned."""
        await asyncio.gather(*(self._describe(one) for one in self._served.values() if one.kind == "crew"))
        number = 0
        while True:
            number = await self._link.connected(number)
            await self._register()
            leases = asyncio.ensure_future(self._leases())
            anew = asyncio.ensure_future(self._link.connected(number))
            try:
                await asyncio.wait({leases, anew}, return_when=asyncio.FIRST_COMPLETED)
                if leases.done() and not anew.done():
                    leases.result()
                    number -= 1
                    await asyncio.sleep(0.5)
            finally:
                leases.cancel()
                anew.cancel()

    async def _register(self) -> None:
        async with self._registering:
            held = [assignment.held for assignment in self._assignments.values() if not assignment.lost]
            body = {
                "name": self._settings.name,
                "crews": [one.registered() for one in self._served.values()],
                "capacity": 0 if self._draining.is_set() else self._settings.slots,
                "labels": self._settings.labels,
                "held": held,
            }
            reply = await self._insist("worker.register", body)
            self._lease_seconds = reply["lease_ms"] / 1000
            kept = {(one["run_id"], one["lease_epoch"]): one["seq"] for one in reply["held"]}
            for one in held:
                assignment = self._assignments.get(one["run_id"])
                if assignment is None or assignment.epoch != one["lease_epoch"]:
                    continue
                seq = kept.get((assignment.run_id, assignment.epoch))
                if seq is None:
                    log.warning("run %s is someone else's now", assignment.run_id)
                    assignment.lose()
                else:
                    await assignment.window.rewind(seq)

    async def _insist(self, op: str, body: dict[str, Any]) -> Any:
        wait = 0.5
        while True:
            try:
                return await self._link.call(op, body)
            except Refused as refused:
                if refused.code not in PASSING:
                    raise Gone(f"{op} was refused: {refused}") from refused
                await asyncio.sleep(refused.fault.get("retry_after_ms", wait * 1000) / 1000)
                wait = min(wait * 2, 10)

    async def _leases(self) -> None:
        """Hears what is assigned, until the server ends that. Raises `Gone` where it is another worker's now."""
        try:
            async for rows in self._link.rows("lease.list", {"mine": True}):
                by_run = {row["run_id"]: row for row in rows}
                for assignment in list(self._assignments.values()):
                    row = by_run.get(assignment.run_id)
                    if row is None or row["epoch"] != assignment.epoch:
                        assignment.lose()
                self._rows = rows
                self._take_up()
        except Refused as refused:
            if refused.code != "conflict" and refused.code not in PASSING:
                raise Gone(f"lease.list was refused: {refused}") from refused
        try:
            await self._link.call("lease.renew", {"held": []})
        except Refused as refused:
            if refused.code == "lease_lost":
                name = self._settings.name
                raise Gone(f"another worker has registered as `{name}` with the same key: give one of them another name") from None

    def _take_up(self) -> None:
        for row in self._rows:
            self._assigned(row)

    def _assigned(self, row: dict[str, Any]) -> None:
        if row["run_id"] in self._assignments or (row["run_id"], row["epoch"]) in self._ended:
            return
        assignment = Assignment(row, self._served.get(row["crew"]), self._link, self._children, self._settings, self._stops)
        self._assignments[assignment.run_id] = assignment
        self._idle.clear()
        task = asyncio.ensure_future(self._execute(assignment))
        self._executing.add(task)
        task.add_done_callback(self._executing.discard)

    async def _execute(self, assignment: Assignment) -> None:
        try:
            await assignment.execute()
        except Gone:
            # The worker ends, and says why.
            pass
        except Exception:
            log.exception("run %s", assignment.run_id)
        finally:
            self._ended.append((assignment.run_id, assignment.epoch))
            self._assignments.pop(assignment.run_id, None)
            # It may have come back under another lease while this one was wound up.
            self._take_up()
            if not self._assignments:
                self._idle.set()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            held = [assignment.held for assignment in self._assignments.values() if not assignment.lost]
            try:
                reply = await self._link.call("lease.renew", {"held": held})
            except Refused as refused:
                log.warning("leases could not be renewed: %s", refused)
                continue
            for run_id in reply["lost"]:
                assignment = self._assignments.get(run_id)
                if assignment is not None and assignment.held in held:
                    log.warning("the lease of run %s is lost", run_id)
                    assignment.lose()
