"""Modules that hang while they are imported, or end the process: they are told by name, and the rest is served."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import Any

import pytest

from crewline.worker import children, supervisor
from crewline.worker.assignment import Assignment
from crewline.worker.children import Children
from crewline.worker.served import Served, Settings
from crewline.worker.supervisor import Supervisor
from fake_llm import FakeLLM
from recorder import Recorder
from server import Person, Server
from workers import WorkerProcess

pytestmark = pytest.mark.asyncio

LINK: Any = None


async def test_a_crew_whose_import_hangs_is_one_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "DESCRIBE_SECONDS", 0.5)
    served = Served("hangs", "crew", "my_project.hangs:Crew")
    made = Supervisor(LINK, [served], Settings("one"))
    await made._describe(served)
    await made._children.close()
    assert "importing `my_project.hangs:Crew` has taken longer than" in served.description


async def test_what_says_nothing_of_itself_is_not_described_by_a_framework(fake_llm: FakeLLM) -> None:
    served = Served("plain", "crew", "my_project.people:PlainFlow")
    made = Supervisor(LINK, [served], Settings("one"))
    await made._describe(served)
    await made._children.close()
    assert served.description == "" and served.input_schema is not None


@pytest.mark.parametrize(("module", "words"), [("hangs", "it has taken longer than"), ("leaves", "it has ended its process with exit code 7")])
async def test_a_module_that_cannot_be_loaded_beforehand_is_told_and_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, module: str, words: str
) -> None:
    monkeypatch.setattr(children, "PRELOAD_SECONDS", 2.0)
    made = Children(["my_project.hello", f"my_project.{module}", "my_project.agents"])
    with caplog.at_level(logging.ERROR):
        recorded = await Recorder(made).run("agent", "my_project.agents:awaited", {"name": "Ada"})
    await made.close()
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert f"the module `my_project.{module}` can't be loaded beforehand: {words}" in caplog.text


@pytest.mark.parametrize("way", ["cancel", "release"])
async def test_a_run_that_waits_for_what_is_loaded_beforehand_can_be_ended(way: str) -> None:
    asked: list[tuple[str, str]] = []

    class Link:
        async def call(self, op: str, body: dict[str, Any], key: str | None = None, *, fits: bool = False) -> Any:
            asked.append((op, body.get("status", "")))

        async def follow(self, *_: Any) -> Any:
            await asyncio.Event().wait()
            yield

    link: Any = Link()
    made = Children(["my_project.hangs"])
    lease = {"run_id": "run", "epoch": 1, "history_head": 0, "attempt": 1, "crew": "awaited", "inputs": {}}

    async def stays() -> bool:
        return False

    assignment = Assignment(lease, Served("awaited", "agent", "my_project.agents:awaited"), link, made, Settings("one"), stays)
    executing = asyncio.ensure_future(assignment.execute())
    while made._server is None:
        await asyncio.sleep(0.01)
    await (assignment.cancel("now") if way == "cancel" else assignment.release())
    await executing
    await made.close()
    assert asked == [("run.finish", "cancelled") if way == "cancel" else ("run.release", "")]


@pytest.mark.parametrize("preload", [False, True])
async def test_a_worker_that_imports_for_ever_ends_when_it_is_told_to(tmp_path: Path, preload: bool) -> None:
    told = tmp_path / "told"
    server = await asyncio.to_thread(Server().start)
    person = await Person.registers(server.url)
    what = ["--preload", "my_project.hangs"] if preload else []
    script = ["-m", "crewline.cli", "worker", "hangs=my_project.hangs:Crew", *what]
    worker = WorkerProcess(server.url, server.key(), script=script)
    worker._environment["HANGS_TOLD"] = str(told)
    try:
        worker.start()
        while not told.exists():
            await asyncio.sleep(0.05)
        below = worker.ps.children(recursive=True)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0, worker.said
        assert below and not [process for process in below if process.is_running() and process.status() != "zombie"]
    finally:
        worker.close()
        await person.close()
        await asyncio.to_thread(server.close)
