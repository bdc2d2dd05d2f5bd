"""Run's processes, as their supervisor sees them: started by the forkserver, ended by a ladder that always arrives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from typing import Any, Literal

from .forkserver import ENDED, TOLD
from .pipe import Line

log = logging.getLogger("crewline.worker")

#: How long a crew may take to notice that it is to end, before TERM.
NOTICE_SECONDS = 1.0
#: How long it may take after TERM, before KILL.
TERM_SECONDS = 0.8
#: What frameworks are told not to do in a worker: send telemetry and prompts away, ask at a terminal, look for updates.
ENVIRONMENT = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
    "AGNO_TELEMETRY": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
}


class Child:
    """One run's process."""

    def __init__(self, pid: int, line: Line, output: asyncio.StreamReader, errors: asyncio.StreamReader, folder: str) -> None:
        self.pid = pid
        self.line = line
        self.output, self.errors = output, errors
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """How it ended, as `waitpid` tells it."""
        self._folder = folder
        self._ladder: list[asyncio.TimerHandle] = []

    def cancel(self, mode: Literal["graceful", "now"] = "graceful") -> None:
        """Ends it, politely first: the crew's next event raises; then TERM, then KILL, for whatever the crew does instead."""
        if self._ladder and mode == "graceful":
            return
        self._stand_still()
        self.line.send({"op": "cancel"})
        loop, notice = asyncio.get_running_loop(), NOTICE_SECONDS if mode == "graceful" else 0.0
        self._ladder = [
            loop.call_later(notice, self._signal, signal.SIGTERM),
            loop.call_later(notice + TERM_SECONDS, self._signal, signal.SIGKILL),
        ]

    def kill(self) -> None:
        """Ends it and all that it has started, at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.ended.done():
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # It has not made its group yet.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _stand_still(self) -> None:
        for step in self._ladder:
            step.cancel()
        self._ladder = []

    async def cleared(self) -> int:
        """Waits until it has ended, and removes its folder."""
        status = await asyncio.shield(self.ended)
        self._stand_still()
        self.line.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return status


class Children:
    """All of them, and the forkserver, which is started when it is first needed."""

    def __init__(self, preload: list[str], environment: dict[str, str] | None = None) -> None:
        self._preload = preload
        self._environment = {**ENVIRONMENT, **(environment or {})}
        self._living: dict[int, Child] = {}
        self._lock = asyncio.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._forked: deque[asyncio.Future[int]] = deque()
        self._told = b""

    async def start(self, job: dict[str, Any]) -> Child:
        """Starts a process that does this job."""
        folder = await asyncio.to_thread(tempfile.mkdtemp, "", "crewline-run-")
        here, there = socket.socketpair()
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        try:
            async with self._lock:
                control = self._listening()
                forked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
                self._forked.append(forked)
                socket.send_fds(control, [b"f"], [there.fileno(), out_end, err_end])
        finally:
            there.close()
            os.close(out_end)
            os.close(err_end)
        streams = [await _reads(descriptor) for descriptor in (out, err)]
        line = await Line.over(here)
        try:
            pid = await forked
        except ChildProcessError:
            line.close()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        child = Child(pid, line, streams[0], streams[1], folder)
        self._living[pid] = child
        environment = {**self._environment, **job.pop("environment", {})}
        line.send({"environment": environment, "folder": folder, **job})
        return child

    def _listening(self) -> socket.socket:
        if self._control is not None and self._server is not None and self._server.poll() is None:
            return self._control
        here, there = socket.socketpair()
        begin = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from crewline.worker.forkserver import main; main()"
        path = json.dumps([os.getcwd(), *(entry for entry in sys.path if entry)])
        command = [sys.executable, "-c", begin, str(there.fileno()), path, *self._preload]
        # The worker's key is none of a crew's business.
        environment = {**os.environ, **self._environment}
        environment.pop("CREWLINE_API_KEY", None)
        self._server = subprocess.Popen(command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
        there.close()
        here.setblocking(False)
        self._control = here
        self._told = b""
        asyncio.get_running_loop().add_reader(here.fileno(), self._hear, here)
        # Requests are small; the control socket takes thousands of them while the forkserver imports.
        return here

    def _hear(self, control: socket.socket) -> None:
        try:
            data = control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._broke(control)
            return
        self._told += data
        while len(self._told) >= TOLD.size:
            what, pid, status = TOLD.unpack(self._told[: TOLD.size])
            self._told = self._told[TOLD.size :]
            if what == ENDED:
                child = self._living.pop(pid, None)
                if child is not None and not child.ended.done():
                    child.ended.set_result(status)
            elif self._forked:
                self._forked.popleft().set_result(pid)

    def _broke(self, control: socket.socket) -> None:
        """The forkserver is gone, and with it, as they notice, all processes: the next run starts another."""
        asyncio.get_running_loop().remove_reader(control.fileno())
        control.close()
        if self._control is control:
            self._control = None
        for forked in self._forked:
            if not forked.done():
                forked.set_exception(ChildProcessError("the process that run's processes are forked from has died"))
        self._forked.clear()
        for child in self._living.values():
            child.kill()
            if not child.ended.done():
                child.ended.set_result(signal.SIGKILL)
        self._living.clear()

    async def close(self) -> None:
        """Ends all of them."""
        for child in self._living.values():
            child.kill()
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._server is not None:
            await asyncio.to_thread(self._server.wait)


async def _reads(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0))
    return reader
