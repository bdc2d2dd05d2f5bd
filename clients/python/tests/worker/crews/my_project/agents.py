"""Agents that are plain functions: one of each shape, and those that misbehave."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from crewline.worker import AsyncRun, Run, RunFailed, events


async def hello(run: AsyncRun) -> AsyncIterator[str]:
    """Says hello, and sends it when it may."""
    yield f"Hello {run.inputs['name']}"
    if await run.ask("send", "Send it?") == "approve":
        yield ", sent"
    else:
        yield ", not sent"


async def awaited(run: AsyncRun) -> dict[str, Any]:
    run.text("working")
    return {"greeted": run.inputs["name"]}


def generated(run: Run) -> Iterator[Any]:
    yield "one"
    yield events.log("info", "in between")
    yield " two"
    call = run.tool_started("lookup", {"q": 1})
    run.tool_finished(call, ["found"])
    run.usage("some-model", 3, 4)
    run.progress(0.5, "half")
    return 42


def steps(run: Run) -> str:
    first = run.once("first", lambda: (print("doing first"), "A")[1])
    answer = run.ask("which", "Which one?", schema={"type": "string"})
    second = run.once("second", lambda: f"B{answer.value}")
    return first + second


def expires(run: Run) -> str:
    return str(run.ask("quick", "Quick?", expires_in=1, on_expire="fail"))


def steered(run: Run) -> str:
    run.log("listening")
    while True:
        for words in run.steers:
            return f"heard: {words}"
        run.check()


def environment(run: Run) -> dict[str, Any]:
    names = ["CREWAI_DISABLE_TELEMETRY", "CREWAI_TRACING_ENABLED", "OTEL_SDK_DISABLED", "CREWLINE_API_KEY"]
    from crewai_core.paths import db_storage_path

    Path(db_storage_path(), "left.db").write_text("x")
    return {**{name: os.environ.get(name) for name in names}, "stdin": sys.stdin.read(), "storage": db_storage_path()}


def binary(run: Run) -> str:
    os.write(1, b"\xff\x00\xfe binary\n" + bytes(range(256)) + b"\n")
    os.write(2, "żółć\n".encode())
    run.text("nul \0 and \ud800 text")
    return "still here"


def prints_a_lot(run: Run) -> str:
    for number in range(int(run.inputs["lines"])):
        print(f"line {number}", "x" * 100)
    return "printed"


def floods(run: Run) -> str:
    for number in range(int(run.inputs["n"])):
        run.log(f"line {number}")
    return "flooded"


def speaks(run: Run) -> Iterator[str]:
    for number in range(int(run.inputs["n"])):
        yield f"w{number} "


def raises(run: Run) -> None:
    raise ValueError("a bug of the crew")


def raises_in_a_thread(run: Run) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(int, "no number").result()


def refuses(run: Run) -> None:
    raise RunFailed("invalid", "there is no such customer")


def crashes(run: Run) -> None:
    run.log("about to crash")
    ctypes.string_at(0)


def leaves(run: Run) -> None:
    os._exit(3)


def told_to_end(run: Run) -> str:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(600)
    return "went on"


def unreadable_output(run: Run) -> str:
    return "a \0 and \ud800"


def huge_output(run: Run) -> str:
    return "y" * (70 << 20)


def huge_message(run: Run) -> None:
    run.emit(events.log("info", "x") | {"fields": {"a": "y" * (70 << 20)}})


def garbles(run: Run) -> None:
    """Writes where only Crewline writes, as a crew that closes and opens any descriptor may."""
    run._send.__self__._socket.sendall(b"\xff" * 100)  # type: ignore[attr-defined]
    time.sleep(600)


def blocked(run: Run) -> None:
    run.log("blocked")
    here, _there = socket.socketpair()
    here.recv(1)


def leaves_processes(run: Run) -> str:
    """Leaves processes behind, each in a session of its own: one that was started, and one that was forked and holds all that is open."""
    import threading

    print("before", flush=True)
    left = [subprocess.Popen(["sleep", "600"], start_new_session=True).pid]
    outer = os.fork()
    if outer == 0:
        os.setsid()
        os.fork()
        time.sleep(600)
    left += [outer]
    run.log("left", pids=left)
    if run.inputs.get("then") == "leave":
        os._exit(5)
    if run.inputs.get("then") == "wait":
        threading.Event().wait()
    return "done"


def busy(run: Run) -> None:
    """Looks at nothing, and ignores signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    run.log("busy")
    while True:
        pass


def parent(run: Run) -> None:
    """Has a process of its own that would outlive it."""
    process = subprocess.Popen(["sleep", "600"])
    run.log("started", pid=process.pid)
    process.wait()


async def asleep(run: AsyncRun) -> None:
    import asyncio

    run.log("asleep")
    await asyncio.sleep(600)


def huge(run: Run) -> str:
    call = run.tool_started("big", {"nested": [[[[1]]]], "text": "y" * 500_000})
    run.tool_finished(call, "z" * 500_000)
    return "w" * 500_000


def ticks(run: Run) -> str:
    """Says again and again who it is, until a person says anything."""
    number = 0
    while True:
        for words in run.steers:
            return f"{os.environ['WHO']} heard {words}"
        number += 1
        run.log(f"tick {number}", who=os.environ["WHO"], attempt=run.attempt)
        time.sleep(0.02)


def keeps(run: Run) -> str:
    """Keeps files: one of words, one that takes three requests, and one that is refused."""
    run.artifact("words.md", "# żółć")
    run.artifact("much.bin", bytes(range(256)) * 5000, media_type="application/x-much")
    try:
        run.artifact("", "x")
    except RunFailed as failed:
        return str(failed)
    return "kept"


async def keeps_too_much(run: AsyncRun) -> str:
    await run.artifact("huge.bin", b"x" * ((8 << 20) + 1))
    return "kept"


def too_much(run: Run) -> Iterator[Any]:
    """Says of itself what no message to the server can hold, in the way it is told."""
    large = {f"f{number}": "y" * 60_000 for number in range(100)}
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    way = run.inputs["way"]
    if way == "fields":
        run.log("x", **large)
    elif way == "values":
        run.log("x", **{f"f{number}": [1] * 400 for number in range(100)})
    elif way == "question":
        run.ask("k", "T?", schema={"type": "string", "enum": list(large.values())})
    elif way == "fault":
        raise RunFailed("invalid", "x", fields=[{"path": "p" * 1000, "code": "required", "message": "m" * 1000}] * 3000)
    elif way == "event":
        yield {"type": "log.written", "at": 1, "level": "info", "message": "x", "fields": large}
    elif way == "keys":
        run.emit({"type": "log.written", "at": 1, "level": "info", "message": "x", "fields": {1: 2}})
    elif way == "deep":
        yield {"type": "log.written", "at": 1, "level": "info", "message": "x", "fields": {"a": deep}}
        run.emit({"type": "log.written", "at": 1, "level": "info", "message": "x", "fields": {"a": deep}})
