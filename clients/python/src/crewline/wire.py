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
    told = ormsgpack.unpackb(data)
    if _depth(told) > DEPTH:
        raise Unfit("invalid", f"it is nested too deep: {DEPTH} levels are the most")
    values = count(told)
    if values > VALUES:
        raise Unfit("too_large", f"it holds {values} values; {VALUES} are the most")
    if _has_long_key(told):
        raise Unfit("invalid", f"it holds a key that is too long: {KEY_BYTES} bytes are the most")
    return data


def count(value: Any) -> int:
    """How many values there are in a value, its keys and itself counted."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count, value.values()))
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


def _has_long_key(value: Any) -> bool:
    if isinstance(value, dict):
        return any(len(key.encode()) > KEY_BYTES for key in value) or any(map(_has_long_key, value.values()))
    return isinstance(value, list) and any(map(_has_long_key, value))


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
        if _depth(frame) > DEPTH:
            raise Malformed("a frame that is nested too deep")
        yield frame, end - at
        at = end


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


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
