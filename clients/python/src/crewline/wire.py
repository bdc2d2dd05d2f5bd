"""Frames: a message is one or more of them, one after another, each a MessagePack array that delimits itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import ormsgpack

SUBPROTOCOL = "crewline.v1"

HELLO, WELCOME, REQUEST, REPLY, FAULT = 1, 2, 3, 4, 5
SUBSCRIBE, SUBSCRIBED, EVENTS, SNAPSHOT, ENDED, CREDIT, UNSUBSCRIBE = 10, 11, 12, 13, 14, 15, 16
CANCEL = 6
PRESENCE = 20
PING, PONG, NOTICE, GOAWAY = 30, 31, 32, 33

#: The kinds that only a client sends.
FROM_CLIENTS = {HELLO, REQUEST, CANCEL, SUBSCRIBE, CREDIT, UNSUBSCRIBE}
#: How deep a frame may be nested, with itself as 1.
DEPTH = 32
#: How many values a client's frame may hold, its keys and itself counted; and how many bytes a key in it may have.
VALUES, KEY_BYTES = 10_000, 256

#: Bytes that follow a value's first byte, of those that have no length and no parts.
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
#: How a length is written, of those that have one; and how many values it counts for each (0: bytes).
_SIZED = {
    **{0xC4: (">B", 0), 0xC5: (">H", 0), 0xC6: (">I", 0), 0xD9: (">B", 0), 0xDA: (">H", 0), 0xDB: (">I", 0)},
    **{0xDC: (">H", 1), 0xDD: (">I", 1), 0xDE: (">H", 2), 0xDF: (">I", 2)},
}


class Malformed(Exception):
    """Bytes that are no frames."""


class Unfit(Exception):
    """What is no frame that a client may send: the server would end the connection for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        """What a server would call it, in a request that it could read: `too_large` or `invalid`."""


def encode(*frame: Any) -> bytes:
    """A frame as bytes."""
    return ormsgpack.packb(list(frame))


def encode_within(most: int, *frame: Any) -> bytes:
    """A client's frame as bytes, up to so many. Raises `Unfit`."""
    try:
        data = encode(*frame)
    except TypeError as error:
        raise Unfit("invalid", f"it holds what can't be sent: {error}") from None
    if len(data) > most:
        raise Unfit("too_large", f"it has {len(data)} bytes; {most} are the most")
    shape = Shape(ormsgpack.unpackb(data))
    if shape.depth > DEPTH:
        raise Unfit("invalid", f"it is nested too deep: {DEPTH} levels are the most")
    if shape.values > VALUES:
        raise Unfit("too_large", f"it holds {shape.values} values; {VALUES} are the most")
    if shape.key_bytes > KEY_BYTES:
        raise Unfit("invalid", f"it holds a key that is too long: {KEY_BYTES} bytes are the most")
    return data


class Shape:
    """What bounds a value beside its bytes."""

    def __init__(self, value: Any) -> None:
        self.values = 0
        """How many values there are in it, its keys and itself counted."""
        self.depth = 0
        """How deep arrays and maps stand in each other."""
        self.key_bytes = 0
        """How long its longest key is, where that is not far below what a key may have."""
        level: list[Any] = [value]
        # Level by level, for all that a client sends goes through here.
        while level:
            self.values += len(level)
            maps = [one for one in level if type(one) is dict]
            lists = [one for one in level if type(one) is list]
            self.depth += bool(maps or lists)
            level = [one for found in lists for one in found]
            for found in maps:
                self.values += len(found)
                # No character has more than four bytes. What is no text at all is no key.
                try:
                    if max(map(len, found), default=0) * 4 > KEY_BYTES:
                        self.key_bytes = max(self.key_bytes, *(len(key.encode()) for key in found))
                except (TypeError, AttributeError):
                    self.key_bytes = KEY_BYTES + 1
                level.extend(found.values())


def frames(message: bytes) -> Iterator[tuple[list[Any], int]]:
    """The frames of a message, each with its length in bytes, which is what it costs of the credit."""
    at = 0
    if not message:
        raise Malformed("an empty message")
    while at < len(message):
        end = _end(message, at)
        frame = ormsgpack.unpackb(message[at:end])
        if not isinstance(frame, list) or not frame or not isinstance(frame[0], int) or frame[0] in FROM_CLIENTS:
            raise Malformed("a frame is an array that begins with a kind which the server sends")
        if frame[0] in (EVENTS, SNAPSHOT, ENDED) and any(place < 0 for place in frame[2 : 4 if frame[0] == EVENTS else 3]):
            raise Malformed("a position below zero")
        if Shape(frame).depth > DEPTH:
            raise Malformed("a frame that is nested too deep")
        yield frame, end - at
        at = end


def _end(data: bytes, at: int) -> int:
    """Where the value ends that begins here."""
    left = 1
    try:
        while left:
            left -= 1
            first = data[at]
            at += 1
            if first <= 0x7F or first >= 0xE0:
                continue
            if first <= 0x8F:
                left += 2 * (first & 0x0F)
            elif first <= 0x9F:
                left += first & 0x0F
            elif first <= 0xBF:
                at += first & 0x1F
            elif first in _FIXED:
                at += _FIXED[first]
            else:
                shape, parts = _SIZED[first]
                size = struct.unpack_from(shape, data, at)[0]
                at += struct.calcsize(shape)
                if parts:
                    left += parts * size
                else:
                    at += size
    except (IndexError, KeyError, struct.error) as error:
        raise Malformed("bytes that are no whole frame") from error
    if at > len(data):
        raise Malformed("bytes that are no whole frame")
    return at
