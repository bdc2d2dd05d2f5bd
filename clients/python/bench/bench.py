"""What a worker takes and gives: events a second from a run's process to a reader, their latency, runs started a second, memory a run.

    script/bench worker [--json]

Server, worker and reader share this machine. An event has arrived when a reader has it, who is sent nothing that is not durable.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import psutil  # noqa: E402

import crewline  # noqa: E402
from server import Person, Server  # noqa: E402

SLOTS = 64
EVENTS = 100_000
RUNS = 200
PACED = (10, 100, 20)
"""Runs, events a second of each, seconds."""
WAITING = 50


def figure(name: str, value: float, unit: str, target: float | None = None, most: bool = False) -> dict[str, Any]:
    """A figure, and what it should be at least, or at most."""
    met = None if target is None else (value <= target if most else value >= target)
    return {"name": name, "value": value, "unit": unit, "target": target, "met": met}


async def started(client: crewline.Client, crew: str, **inputs: int) -> str:
    """A run."""
    return (await client.call("run.start", {"crew": crew, "inputs": dict(inputs)}))["id"]


async def throughput(client: crewline.Client, crew: str, kind: str) -> float:
    """Events a second of one run, from its start to the last that a reader has."""
    begun = last = time.perf_counter()
    run = await started(client, crew, count=EVENTS)
    heard = 0
    async for _, events in client.follow_offsets(run):
        for event in events:
            if event["type"] == kind:
                heard += event["text"].count(" ") if event["type"] == "text.delta" else 1
        last = time.perf_counter()
    assert heard == EVENTS, f"{heard} of {EVENTS} events of {crew} arrived"
    return EVENTS / (last - begun)


async def latency(client: crewline.Client) -> list[float]:
    """Milliseconds from saying to reading, of every word of several runs at once; the first second is left out."""
    runs, per_s, seconds = PACED

    async def one() -> list[float]:
        run = await started(client, "paced", count=per_s * seconds, per_s=per_s)
        took: list[float] = []
        async for event in client.follow_run(run, only=["text.delta"]):
            if event["type"] == "text.delta":
                now = time.time_ns()
                took += [(now - int(said)) / 1e6 for said in event["text"].split()]
        return took[per_s:]

    return sorted([each for took in await asyncio.gather(*(one() for _ in range(runs))) for each in took])


async def starts(client: crewline.Client) -> float:
    """Runs a second that are started, do nothing, and have finished."""
    begun = time.perf_counter()
    runs = [await started(client, "nothing") for _ in range(RUNS)]

    async def end(run: str) -> None:
        async for event in client.follow_run(run, only=["run.finished"]):
            assert event["type"] == "run.finished" and event["status"] == "succeeded", event

    await asyncio.gather(*(end(run) for run in runs))
    return RUNS / (time.perf_counter() - begun)


def resident(process: psutil.Process) -> int:
    """Bytes of a process and all below it; what several share counts once."""
    return sum(each.memory_full_info().pss for each in [process, *process.children(recursive=True)])


async def memory(client: crewline.Client, worker: psutil.Process) -> float:
    """Bytes of each of some runs that wait."""
    before = resident(worker)
    runs = [await started(client, "waits") for _ in range(WAITING)]
    for run in runs:
        async for _ in client.follow_run(run, only=["task.started"]):
            break
    each = (resident(worker) - before) / WAITING
    for run in runs:
        await client.call("run.cancel", {"id": run, "mode": "now"})
    return each


async def measured(server: Server) -> list[dict[str, Any]]:
    """Every figure."""
    person = await Person.registers(server.url)
    environment = {**os.environ, "CREWLINE_URL": server.url, "CREWLINE_API_KEY": server.key(), "SLOTS": str(SLOTS)}
    process = subprocess.Popen([sys.executable, str(HERE / "serve.py")], env=environment, stderr=subprocess.DEVNULL)
    try:
        await person.until("crew.list", {}, lambda crews: any(crew["name"] == "waits" for crew in crews))
        async with crewline.connect(server.url, crewline.Password("ada@example.com", "correct horse battery")) as client:
            await throughput(client, "words", "text.delta")
            runs, per_s, _ = PACED
            figures = [
                figure("words a second of one run, from its process to a reader", await throughput(client, "words", "text.delta"), "/s", 20_000),
                figure("log lines a second, none joined with another", await throughput(client, "logs", "log.written"), "/s", 20_000),
            ]
            took = await latency(client)
            figures += [
                figure(f"latency of {runs} runs at {per_s} words/s each: p50", statistics.median(took), "ms"),
                figure("the same: p99", took[int(len(took) * 0.99)], "ms", 10, most=True),
                figure("runs a second, started and finished", await starts(client), "/s"),
                figure("memory of a run that waits", await memory(client, psutil.Process(process.pid)) / 1e6, "MB"),
            ]
        return figures
    finally:
        await person.close()
        process.terminate()
        process.wait()


def main() -> int:
    """Measures, prints, and ends with 1 where a target is missed."""
    server = Server("lease_rate=10000000").start()
    try:
        figures = asyncio.run(measured(server))
    finally:
        server.close()
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=2))
    else:
        for each in figures:
            target = "" if each["target"] is None else f"{each['target']:>12,} {'met' if each['met'] else 'missed'}"
            print(f"  {each['name']:<62}{each['value']:>12,.1f} {each['unit']:<4}{target}")
    return 1 if any(each["met"] is False for each in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
