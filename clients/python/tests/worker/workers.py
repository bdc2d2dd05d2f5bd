"""Workers as processes of their own, and a road to the server that can be cut."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from server import PATIENCE

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"


class WorkerProcess:
    """A worker's process."""

    def __init__(
        self, url: str, key: str, name: str = "one", script: list[str] | None = None, folder: Path | None = None, **environment: Any
    ) -> None:
        self._command = [sys.executable, *(script or [str(HERE / "serve.py")])]
        paths = os.pathsep.join([str(SOURCE), str(HERE / "crews")])
        told = {"CREWLINE_URL": url, "CREWLINE_API_KEY": key, "WORKER": name, "PYTHONPATH": paths}
        self._environment = {**os.environ, **told, **{name.upper(): str(value) for name, value in environment.items()}}
        self._folder = folder
        self._said = tempfile.TemporaryFile()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> WorkerProcess:
        """Starts it; whether it serves is the server's to say."""
        said, nothing = self._said, subprocess.DEVNULL
        self.process = subprocess.Popen(self._command, env=self._environment, cwd=self._folder, stdout=said, stderr=said, stdin=nothing)
        return self

    @property
    def said(self) -> str:
        """What it has printed."""
        self._said.seek(0)
        return self._said.read().decode("utf-8", "replace")

    @property
    def ps(self) -> psutil.Process:
        """The process, to look at."""
        assert self.process is not None
        return psutil.Process(self.process.pid)

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Waits until it has ended by itself; its exit code."""
        assert self.process is not None
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), PATIENCE)

    async def kill(self) -> None:
        """`kill -9` of the supervisor."""
        self.signal(signal.SIGKILL)
        await self.ended()

    def close(self) -> None:
        """Ends it, whatever it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Road:
    """A road of TCP to the server, on which messages can be stopped and connections cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.connections = 0
        self.up: Callable[[bytes], bool] = lambda _: True
        """Whether bytes of the worker go on to the server; when not, the connection is cut."""
        self.down: Callable[[bytes], bool] = lambda _: True
        """The same of the server's."""

    async def open(self) -> str:
        """Opens it; gives the address by which the server is reached."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"

    def cut(self) -> None:
        """Cuts all connections, without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        """Closes it."""
        if self._server is not None:
            self._server.close()
        self.cut()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, there_writer}
        self._writers |= pair

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, passes: Callable[[bytes], bool]) -> None:
            try:
                while data := await source.read(4096):
                    if not passes(data):
                        break
                    target.write(data)
                    await target.drain()
            except OSError:
                pass
            for one in pair:
                one.transport.abort()

        await asyncio.gather(carry(reader, there_writer, lambda data: self.up(data)), carry(there_reader, writer, lambda data: self.down(data)))
        self._writers -= pair
