"""Events of a run that the server has not said it has: kept, numbered, and bounded, so that none is lost, doubled, or piled up."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice

import ormsgpack

from ..wire import DEPTH, VALUES, Shape
from .events import Event

#: How many events may be kept; beyond that the crew waits.
EVENTS = 1024
#: How many bytes they may have together.
BYTES = 1 << 20
#: How many events, how many values in them, how deep, and about how many bytes, one append carries: there is a frame around them.
BATCH_EVENTS = 256
BATCH_DEPTH = DEPTH - 3
BATCH_VALUES = VALUES // 2
BATCH_BYTES = 256 << 10
#: A delta grows to this, while it waits.
DELTA_BYTES = 8 << 10


class Window:
    """The events of one lease, from `seq` 1."""

    def __init__(self, wake: asyncio.Event) -> None:
        self._wake = wake
        self._kept: deque[tuple[int, Event, int]] = deque()
        self._bytes = 0
        self._changed = asyncio.Condition()
        self.last = 0
        """The highest number given."""
        self.sent = 0
        """The highest number that is on its way."""
        self.stored = 0
        """The highest number that the server has."""
        self._open = False

    async def lift(self) -> None:
        """No bound any more: the run is about to end, and must not be held back from that."""
        async with self._changed:
            self._open = True
            self._changed.notify_all()

    async def add(self, event: Event) -> None:
        """Keeps an event; waits for room first. Words of a part that wait are joined."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            size = len(ormsgpack.packb(event, option=ormsgpack.OPT_NON_STR_KEYS))
            if event["type"] == "text.delta" and self._kept and self._kept[-1][0] > self.sent:
                seq, before, grown = self._kept[-1]
                if before["type"] == "text.delta" and before["part"] == event["part"] and grown + size <= DELTA_BYTES:
                    self._kept[-1] = seq, {**event, "text": before["text"] + event["text"]}, grown + size
                    self._bytes += size
                    return
            self.last += 1
            self._kept.append((self.last, event, size))
            self._bytes += size
            self._wake.set()

    def _has_room(self) -> bool:
        return self._open or (len(self._kept) < EVENTS and self._bytes < BYTES)

    def batch(self) -> tuple[int, list[Event]] | None:
        """What is to be sent next, with its first number."""
        if self.sent == self.last:
            return None
        first = self._kept[0][0]
        events: list[Event] = []
        total = values = 0
        for _, event, size in islice(self._kept, self.sent + 1 - first, None):
            shape = Shape(event)
            values += shape.values
            total += size
            # What may not fit a frame at all goes alone, and is found out there.
            alone = shape.depth > BATCH_DEPTH or shape.key_bytes > 0
            if events and (alone or len(events) == BATCH_EVENTS or values > BATCH_VALUES or total > BATCH_BYTES):
                break
            events.append(event)
            if alone:
                break
        start, self.sent = self.sent + 1, self.sent + len(events)
        return start, events

    async def acknowledge(self, seq: int) -> None:
        """The server has all up to this number."""
        async with self._changed:
            self.stored = max(self.stored, min(seq, self.last))
            while self._kept and self._kept[0][0] <= self.stored:
                self._bytes -= self._kept.popleft()[2]
            self.sent = max(self.sent, self.stored)
            self._changed.notify_all()

    async def rewind(self, seq: int) -> None:
        """The server has all up to this number and nothing more: what comes after it is sent again."""
        await self.acknowledge(seq)
        self.sent = self.stored
        self._wake.set()
