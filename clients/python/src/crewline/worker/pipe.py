"""What a run's process and its supervisor say to each other: MessagePack values with their length before them, over one socket.

A run's process writes blocking: when its supervisor does not read, because the server has not stored what came before, the crew waits.
That is the whole of back-pressure; there is nothing to tune and nothing that could wait for each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from typing import Any

import ormsgpack

_LENGTH = struct.Struct(">I")
#: Nothing that is said is longer; a length beyond it means that the peer is broken.
MESSAGE_BYTES = 64 << 20


class Garbled(Exception):
    """What the other side has said is no message."""


def pack(message: Any) -> bytes:
    """A message as it stands on the pipe."""
    data = ormsgpack.packb(message, default=str, option=ormsgpack.OPT_NON_STR_KEYS)
    if len(data) > MESSAGE_BYTES:
        raise ValueError(f"{len(data)} bytes can't be told at once; {MESSAGE_BYTES} are the most: say it in parts")
    return _LENGTH.pack(len(data)) + data


class Pipe:
    """The run's end: any thread may send, one receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._received = sock.makefile("rb")
        #: The thread that is inside of a send: a signal must not tear a message apart.
        self.sending: int | None = None

    def send(self, message: Any) -> None:
        """Sends a message whole; waits while the supervisor does not read."""
        data = pack(message)
        with self._lock:
            self.sending = threading.get_ident()
            try:
                self._socket.sendall(data)
            finally:
                self.sending = None

    def receive(self) -> Any:
        """The next message; `EOFError` when the supervisor is gone."""
        head = self._received.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise EOFError
        size = _LENGTH.unpack(head)[0]
        data = self._received.read(size)
        if len(data) < size:
            raise EOFError
        return ormsgpack.unpackb(data, option=ormsgpack.OPT_NON_STR_KEYS)


def finish(reader: asyncio.StreamReader, transport: asyncio.ReadTransport, source: Any) -> None:
    """Ends a stream whose writer is gone, after what it has left there: a process that it started may hold the other end open for ever."""
    if transport.is_closing():
        return
    transport.pause_reading()
    with contextlib.suppress(OSError):
        # More than a pipe or a socket holds; nothing where it has ended by itself.
        if left := os.read(source.fileno(), 4 << 20):
            reader.feed_data(left)
    reader.feed_eof()
    transport.close()


class Line:
    """The supervisor's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> Line:
        """Speaks over this socket."""
        return cls(*await asyncio.open_connection(sock=sock))

    def send(self, message: Any) -> None:
        """Sends a message; what is said to a run is little, and to one that has ended is lost."""
        if not self._writer.is_closing():
            self._writer.write(pack(message))

    async def receive(self) -> Any:
        """The next message, or `None` when the run's process has gone. Raises `Garbled`."""
        try:
            size = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))[0]
            if size > MESSAGE_BYTES:
                raise Garbled(f"it announces {size} bytes")
            return ormsgpack.unpackb(await self._reader.readexactly(size), option=ormsgpack.OPT_NON_STR_KEYS)
        except (asyncio.IncompleteReadError, OSError):
            return None
        except ormsgpack.MsgpackDecodeError as error:
            raise Garbled(str(error)) from None

    def finish(self) -> None:
        """Ends it after what has come, when the run's process has gone."""
        transport: Any = self._writer.transport
        finish(self._reader, transport, transport.get_extra_info("socket"))

    def close(self) -> None:
        """Hangs up."""
        self._writer.close()
