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

from .events import fault
from .forkserver import ENDED, FORKED, LOADED, LOADING, TOLD
from .pipe import Garbled, Line, finish

log = logging.getLogger("crewline.worker")

#: How long a crew may take to notice that it is to end, before TERM.
NOTICE_SECONDS = 1.0
#: How long it may take after TERM, before KILL.
TERM_SECONDS = 0.8
#: How long a module may take to be loaded beforehand.
PRELOAD_SECONDS = 60.0
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


class Printed:
    """What comes out of a run's process by a pipe."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport) -> None:
        self.reader = reader
        self._transport = transport

    @classmethod
    async def of(cls, descriptor: int) -> Printed:
        """Reads from this end of a pipe."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", 0))
        return cls(reader, transport)

    def finish(self) -> None:
        """Ends it after what has come, when the process has gone."""
        finish(self.reader, self._transport, self._transport.get_extra_info("pipe"))


class Child:
    """One run's process."""

    def __init__(self, pid: int, line: Line, output: Printed, errors: Printed, folder: str) -> None:
        self.pid = pid
        self.line = line
        self.output, self.errors = output.reader, errors.reader
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """How it ended, as `waitpid` tells it."""
        for told in (line, output, errors):
            self.ended.add_done_callback(lambda _, told=told: told.finish())  # type: ignore[misc]
        self._folder = folder
        self._ladder: list[asyncio.TimerHandle] = []

    async def said(self) -> Any:
        """What it says next, or `None` when it has gone. One that can't be understood is ended."""
        try:
            return await self.line.receive()
        except Garbled as garbled:
            self.kill()
            return {"op": "end", "status": "failed", "fault": fault("internal", f"what the run's process has said can't be read: {garbled}")}

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
        self._preload = list(preload)
        self._environment = {**ENVIRONMENT, **(environment or {})}
        self._living: dict[int, Child] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._launching: asyncio.Task[socket.socket] | None = None
        self._steps: asyncio.Queue[str | None] = asyncio.Queue()
        """What the forkserver does before it forks: it loads a module, has loaded all (`""`), or has died (`None`)."""
        self._forked: deque[asyncio.Future[int]] = deque()
        self._told = b""

    async def start(self, job: dict[str, Any]) -> Child:
        """Starts a process that does this job."""
        control = await self._forkserver()
        folder = await asyncio.to_thread(tempfile.mkdtemp, "", "crewline-run-")
        here, there = socket.socketpair()
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        try:
            forked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._forked.append(forked)
            socket.send_fds(control, [b"f"], [there.fileno(), out_end, err_end])
        finally:
            there.close()
            os.close(out_end)
            os.close(err_end)
        output, errors = await Printed.of(out), await Printed.of(err)
        line = await Line.over(here)
        try:
            pid = await forked
        except BaseException:
            # Without a job, a process that was forked all the same ends by itself.
            line.close()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        child = Child(pid, line, output, errors, folder)
        self._living[pid] = child
        environment = {**self._environment, **job.pop("environment", {})}
        line.send({"environment": environment, "folder": folder, **job})
        return child

    async def _forkserver(self) -> socket.socket:
        """The way to the forkserver, which has loaded beforehand what can be."""
        if self._control is not None and self._server is not None and self._server.poll() is not None:
            self._broke(self._control)
        if self._launching is None or (self._launching.done() and self._control is None):
            self._launching = asyncio.ensure_future(self._launch())
        # Whoever waits may be cancelled: the others wait on.
        return await asyncio.shield(self._launching)

    async def _launch(self) -> socket.socket:
        """Starts it. A module that hangs while it is loaded, or ends the process, is left out from then on."""
        while True:
            self._steps = asyncio.Queue()
            self._control = control = self._begin()
            loading = ""
            assert self._server is not None
            try:
                while step := await asyncio.wait_for(self._steps.get(), PRELOAD_SECONDS):
                    loading = step
                if step is not None:
                    return control
                ended = await asyncio.to_thread(self._server.wait)
                why = f"it has ended its process with {f'exit code {ended}' if ended >= 0 else signal.Signals(-ended).name}"
            except asyncio.TimeoutError:
                why = f"it has taken longer than {PRELOAD_SECONDS:.0f} s"
                self._kill(control)
            except asyncio.CancelledError:
                if self._control is control:
                    self._kill(control)
                raise
            if not loading:
                raise ChildProcessError(f"the process that run's processes are forked from did not start: {why}")
            log.error("the module `%s` can't be loaded beforehand: %s. It is left out; a run that needs it says so", loading, why)
            self._preload.remove(loading)

    def _begin(self) -> socket.socket:
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
        self._told = b""
        asyncio.get_running_loop().add_reader(here.fileno(), self._hear, here)
        # Requests are small; the control socket takes thousands of them.
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
            what, number, status = TOLD.unpack(self._told[: TOLD.size])
            self._told = self._told[TOLD.size :]
            if what == LOADING:
                self._steps.put_nowait(self._preload[number])
            elif what == LOADED:
                self._steps.put_nowait("")
            elif what == ENDED:
                child = self._living.pop(number, None)
                if child is not None and not child.ended.done():
                    child.ended.set_result(status)
            elif what == FORKED and self._forked:
                forked = self._forked.popleft()
                if not forked.done():
                    forked.set_result(number)

    def _kill(self, control: socket.socket) -> None:
        """Ends a forkserver that does not come to serve."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGKILL)
        self._broke(control)

    def _broke(self, control: socket.socket) -> None:
        """The forkserver is gone, and with it, as they notice, all processes: the next run starts another."""
        asyncio.get_running_loop().remove_reader(control.fileno())
        control.close()
        self._control = None
        self._steps.put_nowait(None)
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
        if self._launching is not None:
            self._launching.cancel()
            await asyncio.gather(self._launching, return_exceptions=True)
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._server is not None:
            await asyncio.to_thread(self._server.wait)
