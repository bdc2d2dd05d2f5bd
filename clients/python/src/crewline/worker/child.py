"""A run's own process: it executes one attempt, tells its supervisor what happens, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import inspect
import os
import signal
import socket
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from . import events, orphans, target, values
from .pipe import Pipe
from .run import AsyncRun, Parked, Run, RunBase, RunCancelled, RunEnded, RunFailed


def main(sock: socket.socket, out: int, err: int) -> None:
    """Everything that the process does; never returns."""
    _settle(out, err)
    pipe = Pipe(sock)
    job = pipe.receive()
    os.environ.update(job["environment"])
    os.environ["CREWLINE_RUN_DIR"] = os.environ["CREWAI_STORAGE_DIR"] = job["folder"]
    try:
        end = _describe(job) if job["op"] == "describe" else _execute(job, pipe)
    except BaseException as error:
        end = {"status": "failed", "fault": told(error)}
    with contextlib.suppress(OSError):
        pipe.send({"op": "end", **values.json_value(end)})
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    # Threads of frameworks may be left over: they end with the process, whatever they do.
    os._exit(0)


def _settle(out: int, err: int) -> None:
    """A process group of its own, nothing to read, and what is printed goes to the supervisor."""
    os.setsid()
    # What it leaves behind stays its own until it ends: only then the forkserver knows that nobody wants it any more.
    orphans.adopt()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for given, stream in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(given, stream)
        os.close(given)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    faulthandler.enable(file=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _describe(job: dict[str, Any]) -> dict[str, Any]:
    crewai = _crewai()
    return {"status": "described", "described": crewai.describe(target.load(job["target"]))}


def _crewai() -> Any:
    try:
        from ..adapters import crewai
    except ImportError as error:
        raise RunFailed("internal", f"the worker can't execute a crew: {error}. Where it runs: pip install 'crewline[crewai]'") from error
    return crewai


def _execute(job: dict[str, Any], pipe: Pipe) -> dict[str, Any]:
    run: RunBase = Run(job, pipe.send)
    try:
        if job["kind"] == "crew":
            crewai = _crewai()
            _listen(run, pipe)
            output = crewai.execute(run, target.load(job["target"]), approve=job.get("approve") or [])
        else:
            function = target.load(job["target"])
            run = AsyncRun(job, pipe.send) if target.is_async(function) else run
            _listen(run, pipe)
            output = execute(run, function)
        return {"status": "succeeded", "output": values.text("" if output is None else output, values.OUTPUT_BYTES)}
    except BaseException as error:
        if run.cancelled:
            return {"status": "cancelled"}
        if isinstance(error, Parked):
            return {"status": "parked"}
        trace = "".join(traceback.format_exception(error))
        pipe.send({"op": "event", "event": events.log("error", trace[-12000:], {"stream": "traceback"})})
        return {"status": "failed", "fault": told(error)}


def _listen(run: RunBase, pipe: Pipe) -> None:
    """Hears the supervisor beside whatever the crew does, and lets TERM end the run where the crew looks at nothing."""

    def listen() -> None:
        try:
            while True:
                message = pipe.receive()
                run.hear(message)
        except (EOFError, OSError):
            # The supervisor is gone: nobody may outlive it.
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=listen, daemon=True, name="crewline").start()

    def term(_signal: int, _frame: FrameType | None) -> None:
        run.hear({"op": "cancel"})
        if pipe.sending != threading.get_ident():
            raise RunCancelled

    signal.signal(signal.SIGTERM, term)


def execute(run: RunBase, function: Callable[..., Any]) -> Any:
    """Executes a function or generator, sync or async, as the one task of its run. What it yields is said: text, or events as they are."""
    if run.task not in run.past.tasks:
        run._tasks += 1
        run.emit(events.task_started(run.task, run.crew, run.agent))
    try:
        output = _called(run, function)
    except Exception as error:
        run.end_text()
        run.emit(events.task_failed(run.task, told(error)))
        raise
    run.end_text()
    run.emit(events.task_finished(run.task, "" if output is None else output))
    return output


def _called(run: RunBase, function: Callable[..., Any]) -> Any:
    said: list[str] = []

    def say(value: Any) -> None:
        if isinstance(value, str):
            said.append(value)
            run.text(value)
        elif isinstance(value, dict) and "type" in value:
            run.end_text()
            run.emit(values.json_value(value))
        else:
            raise TypeError(f"an agent yields text, or events made by `crewline.worker.events`; not {type(value).__name__}")

    made = function(run)
    if inspect.isasyncgen(made):
        generator = made

        async def through() -> str:
            async for value in generator:
                say(value)
            return "".join(said)

        return _async(run, through())
    if inspect.isawaitable(made):
        return _async(run, made)
    if inspect.isgenerator(made):
        while True:
            try:
                say(next(made))
            except StopIteration as stop:
                return "".join(said) if stop.value is None else stop.value
    return made


def _async(run: RunBase, work: Any) -> Any:
    """Runs a coroutine; when the run is to end it is cancelled where it waits."""

    async def watched() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        hear = run.hear

        def hears(told: dict[str, Any]) -> None:
            hear(told)
            if told["op"] == "cancel":
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(task.cancel)

        run.hear = hears  # type: ignore[method-assign]
        if run.cancelled:
            task.cancel()
        return await task

    return asyncio.run(watched())


def told(error: BaseException) -> dict[str, Any]:
    """What whoever started the run reads of an error: what it is, and where in the crew's own code it came from."""
    if isinstance(error, (RunFailed, RunEnded)):
        return error.fault
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of_the_crew(frame.filename)]
    if own:
        message += f" ({os.path.basename(own[-1].filename)}, line {own[-1].lineno}, in {own[-1].name})"
    if isinstance(error, SystemExit):
        message = f"the crew ended its own process with {error.code!r}"
    return events.fault("internal", message)


def _is_of_the_crew(file: str) -> bool:
    libraries = ("<", sysconfig.get_path("stdlib") + os.sep)
    return not file.startswith(libraries) and "site-packages" not in file and os.sep + "crewline" + os.sep not in file
