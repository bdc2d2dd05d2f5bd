"""Workers that serve a real server, and a person who starts their runs."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from crewline import Refused
from fake_llm import FakeLLM
from server import Person, Server
from workers import Road, WorkerProcess

pytestmark = pytest.mark.asyncio

LONG = bool(os.environ.get("CREWLINE_TEST_LONG"))
INPUTS = {"topic": "Rust", "year": 2026}
CANCEL_SECONDS = 2.5


class Place:
    """A server, a person, and workers, which all end with the test."""

    def __init__(self, server: Server, person: Person) -> None:
        self.server, self.person = server, person
        self.key = server.key()
        self._workers: list[WorkerProcess] = []

    async def worker(self, name: str = "one", *, url: str = "", key: str = "", online: bool = True, **environment: Any) -> WorkerProcess:
        """Starts a worker, and waits until the server has it."""
        worker = WorkerProcess(url or self.server.url, key or self.key, name, **environment)
        self._workers.append(worker.start())
        if online:
            row = await self.worker_is(name, "online", worker)
            await self.person.until("crew.list", {"limit": 200}, lambda crews: set(row["crews"]) <= {crew["name"] for crew in crews})
        return worker

    async def worker_is(self, name: str, state: str, worker: WorkerProcess | None = None) -> dict[str, Any]:
        """Waits until the server says that the worker is so; its row."""
        try:
            rows = await self.person.until("worker.list", {}, lambda rows: any((row["name"], row["state"]) == (name, state) for row in rows))
            return next(row for row in rows if row["name"] == name)
        except asyncio.TimeoutError:
            raise AssertionError(f"the worker was never {state}:\n{worker.said if worker else ''}") from None

    async def close(self) -> None:
        """Ends all."""
        for worker in self._workers:
            worker.close()
        await self.person.close()
        await asyncio.to_thread(self.server.close)


async def place_with(*settings: str) -> Place:
    """A place whose server has these settings."""
    server = await asyncio.to_thread(Server(*settings).start)
    return Place(server, await Person.registers(server.url))


@pytest_asyncio.fixture
async def place(fake_llm: FakeLLM) -> AsyncIterator[Place]:
    """A place as it comes."""
    made = await place_with()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def hasty(fake_llm: FakeLLM) -> AsyncIterator[Place]:
    """A place whose leases are short."""
    made = await place_with("lease_ms=1500", "heartbeat_ms=500")
    yield made
    await made.close()


def lines(log: list[dict[str, Any]]) -> list[str]:
    return [event["message"] for event in log if event["type"] == "log.written"]


def text(log: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in log if event["type"] == "text.delta")


# What is served.


async def test_a_crew_is_served_as_it_stands(place: Place) -> None:
    await place.worker(crews=1)
    crews = await place.person.until("crew.list", {"filter": {"field": "name", "eq": "py_research"}}, bool)
    assert crews[0]["executor"] == "worker"
    assert crews[0]["input_schema"]["required"] == ["topic", "year"]
    run, log = await place.person.ended(await place.person.start("py_research", INPUTS))
    assert (run["status"], run["output"]) == ("succeeded", "The report is fine and ready to ship")
    assert [event["agent"] for event in log if event["type"] == "task.started"] == ["researcher", "writer", "reviewer"]
    assert run["progress"] == 1.0
    assert run["usage"]["input_tokens"] > 0 and run["usage"]["output_tokens"] > 0
    assert log[0]["type"] == "run.started" and log[-1]["type"] == "run.finished"


async def test_an_agent_of_the_workers_own_script_is_served_and_the_supervisor_imports_no_framework(place: Place) -> None:
    worker = await place.worker(crews=1)
    run, log = await place.person.ended(await place.person.start("in_script", {"name": "Ada"}))
    assert run["status"] == "succeeded" and text(log) == "Hello Ada"
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0, worker.said


async def test_the_command_line_serves_crews_and_agents(place: Place) -> None:
    arguments = [
        "worker",
        "py_cli=my_project.crew:ResearchCrew",
        "--agent",
        "my_project.agents:floods",
        "--slots",
        "1",
        "--name",
        "cli",
        "--label",
        "gpu",
    ]
    worker = await place.worker("cli", script=["-m", "crewline.cli", *arguments])
    rows = (await place.person.call("worker.list", {}))["items"]
    assert (rows[0]["capacity"], rows[0]["labels"], sorted(rows[0]["crews"])) == (1, ["gpu"], ["floods", "py_cli"])
    run, _ = await place.person.ended(await place.person.start("py_cli", INPUTS))
    assert run["status"] == "succeeded"
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0


async def test_nine_crews_on_three_slots_keep_to_themselves(place: Place) -> None:
    await place.worker(slots=3, crews=1)
    runs = [await place.person.start("py_research", {"topic": f"T{number}", "year": 2026}) for number in range(9)]
    ended = [await place.person.ended(run) for run in runs]
    assert {run["status"] for run, _ in ended} == {"succeeded"}
    for number, (_, log) in enumerate(ended):
        told = [event["message"] for event in log if event["type"] == "progress.reported"]
        assert f"T{number} Senior Researcher begins research_task" in told
        assert not any(f"T{other} " in words for other in range(9) if other != number for words in told)
    spans = sorted((log[0]["at"], log[-1]["at"]) for _, log in ended)
    assert max(sum(begin <= at < end for begin, end in spans) for at, _ in spans) <= 3


# What goes wrong.


async def test_a_key_that_is_not_taken_ends_the_worker_and_it_says_why(place: Place) -> None:
    worker = await place.worker(key="crk_" + "x" * 40, online=False)
    assert await worker.ended() == 3
    assert "the server does not take the API key" in worker.said


async def test_a_worker_without_a_key_or_an_address_says_so(fake_llm: FakeLLM) -> None:
    for url, key, words in (
        ("ws://127.0.0.1:1/ws", "", "there is no API key"),
        ("", "crk_x", "there is no server to serve"),
        ("ws://h:99999/ws", "crk_x", "Port out of range"),
    ):
        worker = WorkerProcess(url, key).start()
        assert await worker.ended() == 3
        assert words in worker.said


async def test_a_command_line_that_can_not_be_right_ends_with_2_and_says_why() -> None:
    agent = ["--agent", "my_project.agents:hello"]
    for arguments, words in (
        ([], "there is nothing to serve"),
        (["nothing"], "names no crew"),
        ([*agent, "--slots", "0"], "a worker of 0 slots"),
        ([*agent, "--hot-seconds", "nan"], "`hot_seconds` is nan"),
        ([*agent, "--drain-seconds", "-1"], "`drain_seconds` is -1"),
        ([*agent, "--slots", "many"], "invalid int value"),
    ):
        worker = WorkerProcess("ws://127.0.0.1:1/ws", "crk_x", script=["-m", "crewline.cli", "worker", *arguments]).start()
        assert await worker.ended() in (2, 3), worker.said
        assert words in worker.said


async def test_a_key_that_is_revoked_ends_its_worker_at_once(place: Place) -> None:
    worker = await place.worker()
    run = await place.person.start("ticks")
    await place.person.log(run, lambda log: len(lines(log)) > 2)
    keys = await place.person.call("api_key.list", {})
    await place.person.call("api_key.revoke", {"id": keys["items"][0]["id"]})
    assert await worker.ended() == 3
    assert "the server does not take the API key" in worker.said and "Traceback" not in worker.said, worker.said


async def test_a_name_that_the_engine_has_ends_the_worker_and_it_says_which(place: Place) -> None:
    script = ["-m", "crewline.cli", "worker", "--agent", "review=my_project.agents:floods"]
    worker = await place.worker(script=script, online=False)
    assert await worker.ended() == 3
    assert "worker.register was refused" in worker.said and "review" in worker.said


async def test_a_second_worker_of_the_same_name_ends_the_first_which_says_why(place: Place) -> None:
    first = await place.worker()
    run = await place.person.start("ticks")
    await place.person.log(run, lambda log: len(lines(log)) > 2)
    second = await place.worker()
    assert await first.ended() == 3
    assert "another worker has registered as `one`" in first.said and "Traceback" not in first.said, first.said
    await place.person.log(run, lambda log: sum(event["type"] == "log.written" and event["fields"]["attempt"] == 2 for event in log) > 20)
    await place.person.call("run.steer", {"id": run, "text": "stop"})
    row, _ = await place.person.ended(run)
    assert (row["status"], row["attempt"]) == ("succeeded", 2)
    assert second.process is not None and second.process.poll() is None


async def test_a_script_that_is_started_as_a_module_is_no_worker_in_its_runs_processes(place: Place) -> None:
    worker = await place.worker("script", script=["-m", "my_project.script"], script_key=place.key)
    run, _ = await place.person.ended(await place.person.start("hello_of_script", {"name": "Ada"}))
    assert (run["status"], run["output"], run["attempt"]) == ("succeeded", "Hello Ada", 1), (run, worker.said)


async def test_every_failure_of_a_crew_is_seen_by_who_started_it_and_the_worker_lives_on(place: Place) -> None:
    worker = await place.worker(crews=1)
    expected = {
        "raises": ("internal", "ValueError: a bug of the crew (agents.py, line "),
        "crashes": ("internal", "ended by SIGSEGV"),
        "refuses": ("invalid", "there is no such customer"),
        "told_to_end": ("internal", "by SIGTERM"),
        "missing": ("internal", "could not be imported by the worker: RuntimeError: the database is away"),
        "py_broken": ("internal", "could not be imported by the worker: RuntimeError: the database is away"),
    }
    for crew, (code, words) in expected.items():
        run, _ = await place.person.ended(await place.person.start(crew))
        assert run["status"] == "failed" and run["fault"]["code"] == code and words in run["fault"]["message"], (crew, run)
        assert run["attempt"] == 1
    for crew, inputs in (("nobody_has_this", {}), ("py_research", {"topic": "Rust"}), ("in_script", {"name": 7})):
        with pytest.raises(Refused) as refused:
            await place.person.start(crew, inputs)
        assert refused.value.code == "invalid"
    run, log = await place.person.ended(await place.person.start("binary"))
    assert run["status"] == "succeeded" and "żółć" in lines(log)
    for crew in ("unreadable_output", "huge_output"):
        run, _ = await place.person.ended(await place.person.start(crew))
        assert (run["status"], run["attempt"]) == ("succeeded", 1), (crew, run)
    run, log = await place.person.ended(await place.person.start("prints_a_lot", {"lines": 5000}))
    assert run["status"] == "succeeded" and "are left out" in lines(log)[-1]
    run, _ = await place.person.ended(await place.person.start("in_script", {"name": "Ada"}))
    assert run["status"] == "succeeded"
    assert worker.process is not None and worker.process.poll() is None


async def test_a_run_that_says_what_no_message_can_hold_fails_alone(place: Place) -> None:
    worker = await place.worker()
    beside = await place.person.start("ticks")
    await place.person.log(beside, lambda log: len(lines(log)) > 2)
    for way in ("fields", "values", "question", "fault", "event", "keys", "deep"):
        run, _ = await place.person.ended(await place.person.start("too_much", {"way": way}))
        assert (run["status"], run["attempt"]) == ("failed", 1) and "was not sent" in run["fault"]["message"], (way, run)
    await place.person.call("run.steer", {"id": beside, "text": "stop"})
    row, _ = await place.person.ended(beside)
    assert (row["output"], row["attempt"]) == ("one heard stop", 1), worker.said


async def test_a_crew_that_floods_is_held_back_and_nothing_is_lost(place: Place) -> None:
    await place.worker()
    run, log = await place.person.ended(await place.person.start("floods", {"n": 20000}))
    assert run["status"] == "succeeded"
    assert lines(log) == [f"line {number}" for number in range(20000)]
    run, log = await place.person.ended(await place.person.start("speaks", {"n": 20000}))
    assert text(log) == "".join(f"w{number} " for number in range(20000))


async def test_files_that_a_run_makes_are_kept_and_read(place: Place) -> None:
    await place.worker()
    run, log = await place.person.ended(await place.person.start("keeps"))
    assert run["status"] == "succeeded" and "was not kept" in run["output"] and "name" in run["output"], run["fault"]
    told = [event["artifact"] for event in log if event["type"] == "artifact.created"]
    assert [(made["name"], made["media_type"]) for made in told] == [("words.md", "text/markdown"), ("much.bin", "application/x-much")]
    read, kept = place.person.call, {}
    for made in told:
        row = await read("artifact.get", {"id": made["id"]})
        kept[made["name"]] = content = bytearray()
        while len(content) < row["size_bytes"]:
            content += (await read("artifact.read", {"id": made["id"], "offset": len(content)}))["bytes"]
    assert kept == {"words.md": "# żółć".encode(), "much.bin": bytes(range(256)) * 5000}
    run, _ = await place.person.ended(await place.person.start("keeps_too_much"))
    assert run["fault"]["code"] == "too_large" and "huge.bin" in run["fault"]["message"]


# People.


@pytest.mark.parametrize("crew", ["speaks", "blocked", "busy", "py_slow"])
async def test_a_run_is_cancelled_in_time_whatever_it_does(place: Place, crew: str) -> None:
    await place.worker(crews=1)
    run = await place.person.start(crew, {"n": 10**9} if crew == "speaks" else {})
    await place.person.log(run, lambda log: any(event["type"] in ("text.delta", "log.written") for event in log))
    asked = time.monotonic()
    await place.person.call("run.cancel", {"id": run})
    row, log = await place.person.ended(run)
    assert row["status"] == "cancelled" and log[-1]["status"] == "cancelled"
    assert time.monotonic() - asked < CANCEL_SECONDS


async def test_a_question_that_is_answered_while_the_run_waits(place: Place) -> None:
    await place.worker()
    run = await place.person.start("hello", {"name": "Ada"})
    await place.person.answer(await place.person.question(run), "approve")
    row, log = await place.person.ended(run)
    assert row["status"] == "succeeded" and text(log) == "Hello Ada, sent"
    assert not any(event["type"] == "run.waiting" and event["for"] == "approval" for event in log)


async def test_a_run_that_waits_is_put_away_and_another_worker_goes_on_with_it(place: Place) -> None:
    first = await place.worker("first", slots=1, hot_seconds=0.2, crews=1)
    run = await place.person.start("py_reviewed", INPUTS)
    row = await place.person.question(run)
    await place.person.log(run, lambda log: any(event["type"] == "run.waiting" for event in log))
    # The slot is free: another run is executed meanwhile.
    other, _ = await place.person.ended(await place.person.start("in_script", {"name": "Ada"}))
    assert other["status"] == "succeeded"
    await first.kill()
    await place.worker("second", hot_seconds=0.2, crews=1)
    await place.person.answer(row, "approve")
    ended, log = await place.person.ended(run)
    assert "WARNING" not in first.said, first.said
    assert (ended["status"], ended["output"]) == ("succeeded", "The report is fine and ready to ship")
    assert [event["task"] for event in log if event["type"] == "task.started"] == ["task-1", "task-2", "task-3"]
    assert sum(event["type"] == "approval.requested" for event in log) == 1


async def test_a_tool_is_allowed_by_a_person_after_the_run_was_put_away(place: Place) -> None:
    await place.worker(hot_seconds=0.2, crews=1)
    run = await place.person.start("py_mailing")
    row = await place.person.question(run)
    assert (row["kind"], row["tool"], row["arguments"], row["task"]) == ("tool", "send_email", {"to": "ada@example.com"}, "task-2")
    await place.person.log(run, lambda log: any(event["type"] == "run.waiting" for event in log))
    await place.person.answer(row, "approve")
    ended, log = await place.person.ended(run)
    assert ended["status"] == "succeeded"
    assert [event["output"] for event in log if event["type"] == "tool.finished"] == ["sent to ada@example.com"]


async def test_a_flow_that_was_put_away_goes_on_from_where_it_was(place: Place) -> None:
    await place.worker(hot_seconds=0.2, crews=1)
    run = await place.person.start("py_flow", {"topic": "tides"})
    row = await place.person.question(run)
    await place.person.log(run, lambda log: any(event["type"] == "run.waiting" for event in log))
    await place.person.answer(row, "approve", comment="lovely")
    ended, log = await place.person.ended(run)
    assert (ended["status"], ended["output"]) == ("succeeded", "sent: about tides; lovely")
    assert lines(log).count("drafting") == 1


async def test_words_of_people_reach_a_run(place: Place) -> None:
    await place.worker()
    run = await place.person.start("ticks")
    await place.person.log(run, lambda log: len(lines(log)) > 2)
    await place.person.call("run.steer", {"id": run, "text": "left"})
    row, log = await place.person.ended(run)
    assert row["output"] == "one heard left"
    assert [event["type"] for event in log if event["type"].startswith("steer.")] == ["steer.received", "steer.applied"]


async def test_a_run_that_is_paused_is_put_away_between_tasks_and_goes_on(place: Place) -> None:
    await place.worker(crews=1)
    run = await place.person.start("py_two_slow")
    await place.person.log(run, lambda log: any(event["type"] == "text.delta" for event in log))
    await place.person.call("run.pause", {"id": run})
    await place.person.log(run, lambda log: any(event["type"] == "run.waiting" for event in log))
    assert (await place.person.run(run))["status"] == "waiting"
    await place.person.call("run.resume", {"id": run})
    row, log = await place.person.ended(run)
    assert (row["status"], row["output"]) == ("succeeded", "done")
    assert [event["task"] for event in log if event["type"] == "task.started"] == ["task-1", "task-2"]
    assert text(log).count("word29") == 1


# The way there and back.


async def test_connections_that_are_cut_at_any_moment_lose_and_double_nothing(place: Place) -> None:
    road = Road(place.server.port)
    url = await road.open()
    chance = random.Random(7)
    cut: list[str] = []

    def up(_: bytes) -> bool:
        # What was sent is lost before the server has stored it.
        return not (len(cut) < 12 and chance.random() < 0.03 and cut.append("up") is None)

    def down(_: bytes) -> bool:
        # The server has stored it, and its reply is lost.
        return not (len(cut) < 12 and chance.random() < 0.03 and cut.append("down") is None)

    try:
        await place.worker(url=url)
        road.up, road.down = up, down
        run, log = await place.person.ended(await place.person.start("floods", {"n": 30000}))
        assert run["status"] == "succeeded"
        assert lines(log) == [f"line {number}" for number in range(30000)]
        assert {"up", "down"} <= set(cut) and road.connections > 2
        assert sum(event["type"] == "run.started" for event in log) == 1
    finally:
        await road.close()


async def test_a_server_that_is_killed_and_started_again_has_each_event_once(place: Place) -> None:
    await place.worker()
    run = await place.person.start("ticks")
    await place.person.log(run, lambda log: len(lines(log)) > 5)
    await asyncio.to_thread(place.server.kill)
    await asyncio.to_thread(place.server.start)
    await place.person.again(place.server.url)
    seen = len(lines(await place.person.log(run, lambda log: len(lines(log)) > 20)))
    assert seen > 20
    await place.person.call("run.steer", {"id": run, "text": "stop"})
    row, log = await place.person.ended(run)
    assert row["status"] == "succeeded"
    ticks = [line for line in lines(log) if line.startswith("tick")]
    assert ticks == [f"tick {number + 1}" for number in range(len(ticks))]


async def test_a_worker_that_was_stopped_and_comes_back_is_refused(hasty: Place) -> None:
    first = await hasty.worker("first", slots=1)
    run = await hasty.person.start("ticks")
    await hasty.person.log(run, lambda log: len(lines(log)) > 2)
    first.signal(signal.SIGSTOP)
    await hasty.worker("second")
    await hasty.person.log(run, lambda log: any(event["type"] == "run.started" and event["attempt"] == 2 for event in log))
    first.signal(signal.SIGCONT)
    await hasty.worker_is("first", "online", first)
    await hasty.person.log(run, lambda log: sum(event["type"] == "log.written" and event["fields"]["attempt"] == 2 for event in log) > 20)
    await hasty.person.call("run.steer", {"id": run, "text": "stop"})
    row, log = await hasty.person.ended(run)
    assert row["output"] == "second heard stop" and row["attempt"] == 2
    begun = next(place for place, event in enumerate(log) if event["type"] == "run.started" and event["attempt"] == 2)
    assert {event["fields"]["who"] for event in log[begun:] if event["type"] == "log.written"} == {"second"}
    # The crew of the lost lease is gone, and the worker serves on.
    other, _ = await hasty.person.ended(await hasty.person.start("in_script", {"name": "Ada"}))
    assert other["status"] == "succeeded"


async def test_a_worker_that_is_killed_loses_its_run_to_another_and_leaves_no_process(hasty: Place) -> None:
    first = await hasty.worker("first")
    run = await hasty.person.start("ticks")
    await hasty.person.log(run, lambda log: len(lines(log)) > 2)
    children = first.ps.children(recursive=True)
    assert len(children) == 2
    await first.kill()
    await hasty.worker("second")
    await hasty.person.log(run, lambda log: any(event["type"] == "run.started" and event["attempt"] == 2 for event in log))
    await hasty.person.call("run.steer", {"id": run, "text": "stop"})
    row, _ = await hasty.person.ended(run)
    assert row["output"] == "second heard stop"
    assert not [child for child in children if child.is_running() and child.status() != "zombie"]


async def test_a_worker_that_is_killed_leaves_nothing_that_its_runs_have_left_behind(hasty: Place) -> None:
    worker = await hasty.worker()
    run = await hasty.person.start("leaves_processes", {"then": "wait"})
    await hasty.person.log(run, lambda log: "left" in lines(log))
    # The last of them is forked by another.
    while len(below := worker.ps.children(recursive=True)) < 5:
        await asyncio.sleep(0.01)
    await worker.kill()
    while any(process.is_running() and process.status() != "zombie" for process in below):
        await asyncio.sleep(0.01)


async def test_a_worker_that_is_to_stop_lets_its_runs_end_and_takes_no_more(place: Place) -> None:
    worker = await place.worker("first")
    run = await place.person.start("ticks")
    await place.person.log(run, lambda log: len(lines(log)) > 2)
    worker.signal(signal.SIGTERM)
    await place.worker_is("first", "draining", worker)
    later = await place.person.start("in_script", {"name": "Ada"})
    await place.person.call("run.steer", {"id": run, "text": "stop"})
    row, _ = await place.person.ended(run)
    assert row["output"] == "first heard stop"
    assert await worker.ended() == 0, worker.said
    assert (await place.person.run(later))["status"] == "queued"


async def test_runs_that_do_not_end_in_time_are_given_back(place: Place) -> None:
    worker = await place.worker("first", drain_seconds=0.2)
    run = await place.person.start("ticks")
    await place.person.log(run, lambda log: len(lines(log)) > 2)
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0, worker.said
    await place.worker("second")
    await place.person.log(run, lambda log: any(event["type"] == "log.written" and event["fields"]["who"] == "second" for event in log))
    await place.person.call("run.steer", {"id": run, "text": "stop"})
    row, _ = await place.person.ended(run)
    assert (row["output"], row["attempt"]) == ("second heard stop", 1)


async def test_runs_are_given_back_by_a_worker_whose_processes_are_all_told_to_end(place: Place) -> None:
    worker = await place.worker("first")
    run = await place.person.start("ticks")
    await place.person.log(run, lambda log: len(lines(log)) > 2)
    for process in [*worker.ps.children(recursive=True), worker.ps]:
        process.terminate()
    assert await worker.ended() == 0, worker.said
    row = await place.person.run(run)
    assert (row["status"], row["attempt"]) == ("queued", 1)


async def test_many_runs_leave_the_supervisor_as_it_was(place: Place) -> None:
    worker = await place.worker(slots=4, crews=1)
    count = 200 if LONG else 24

    async def some(runs: int) -> None:
        ids = [await place.person.start("py_research", {"topic": f"T{number}", "year": 2026}) for number in range(runs)]
        for id in ids:
            row, _ = await place.person.ended(id)
            assert row["status"] == "succeeded"

    await some(8)
    before = worker.ps.memory_info().rss
    await some(count)
    assert worker.ps.memory_info().rss - before < 6 << 20
    assert len(worker.ps.children(recursive=True)) == 1
    assert worker.ps.num_fds() < 40
