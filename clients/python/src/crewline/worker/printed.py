"""What a run prints, as lines of its log: bounded, and readable whatever the bytes are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from . import events

#: A line longer than this is told in pieces.
LINE_BYTES = 8 << 10
#: How much one stream of a run may print into its log.
LINES = 2000
TOTAL_BYTES = 1 << 20


async def told(reader: asyncio.StreamReader, stream: str, level: events.Level, say: Callable[[events.Event], Awaitable[None]]) -> None:
    """Tells what is printed, line by line, until the stream ends; what is too much is read and left out."""
    lines = total = left_out = 0
    rest = b""
    while data := await reader.read(64 << 10):
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > LINE_BYTES:
            whole, rest = [*whole, rest], b""
        for line in whole:
            for start in range(0, max(1, len(line)), LINE_BYTES):
                piece = line[start : start + LINE_BYTES].rstrip(b"\r")
                if not piece.strip():
                    continue
                lines, total = lines + 1, total + len(piece)
                if lines > LINES or total > TOTAL_BYTES:
                    left_out += len(piece)
                    continue
                await say(events.log(level, piece.decode("utf-8", "backslashreplace"), {"stream": stream}))
    if rest.strip():
        await say(events.log(level, rest.decode("utf-8", "backslashreplace"), {"stream": stream}))
    if left_out:
        await say(events.log("warn", f"{left_out} bytes more that were printed to {stream} are left out", {"stream": stream}))
