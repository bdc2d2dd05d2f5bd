"""Agents that are plain functions, in real processes: what they say, what they print, and how they end."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import ormsgpack
import psutil
import pytest

from crewline.worker.children import Child, Children, Printed
from crewline.worker.pipe import Line, pack
from fake_llm import FakeLLM
from recorder import Recorded, Recorder

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENTS = "my_project.agents:"
CANCEL_SECONDS = 2.5


async def run(recorder: Recorder, name: str, inputs: dict[str, Any] | None = None, **more: Any) -> Recorded:
    return await recorder.run("agent", AGENTS + name, inputs, **more)


def fault(recorded: Recorded) -> dict[str, Any]:
    assert recorded.end is not None and recorded.end["status"] == "failed"
    found: dict[str, Any] = recorded.end["fault"]
    return found


async def test_an_async_generator_asks_and_goes_on(recorder: Recorder) -> None:
    recorded = await run(recorder, "hello", {"name": "Ada"}, answers=lambda _: {"verdict": "approve"}, hot_seconds=60)
    assert recorded.end == {"status": "succeeded", "output": "Hello Ada, sent"}
    assert recorded.text() == "Hello Ada, sent"
    assert [event["type"] for event in recorded.log if not event["type"].startswith("text.")] == [
        "task.started",
        "approval.requested",
        "approval.answered",
        "task.finished",
    ]


async def test_what_was_said_before_it_was_put_away_is_not_said_again(recorder: Recorder) -> None:
    recorded = await run(recorder, "hello", {"name": "Ada"})
    assert recorded.end == {"status": "parked"}
    recorder.answer(recorded, recorded.asked[0], {"verdict": "reject"})
    await recorder.go_on(recorded, "agent", AGENTS + "hello", {"name": "Ada"})
    assert recorded.end == {"status": "succeeded", "output": "Hello Ada, not sent"}
    assert recorded.text() == "Hello Ada, not sent"
    assert len(recorded.of("task.started")) == 1


async def test_an_async_function_gives_its_output_as_text(recorder: Recorder) -> None:
    recorded = await run(recorder, "awaited", {"name": "Ada"})
    assert recorded.end == {"status": "succeeded", "output": "{'greeted': 'Ada'}"}


async def test_a_generator_may_yield_text_and_events(recorder: Recorder) -> None:
    recorded = await run(recorder, "generated")
    assert recorded.end == {"status": "succeeded", "output": "42"}
    assert [event["type"] for event in recorded.log] == [
        *("task.started", "text.started", "text.delta", "text.finished", "log.written", "text.started", "text.delta", "text.finished"),
        *("tool.started", "tool.finished", "usage.recorded", "progress.reported", "task.finished"),
    ]


async def test_a_piece_of_work_is_done_once_over_all_attempts(recorder: Recorder) -> None:
    recorded = await run(recorder, "steps")
    assert recorded.end == {"status": "parked"}
    recorder.answer(recorded, recorded.asked[0], {"verdict": "answer", "value": "!"})
    await recorder.go_on(recorded, "agent", AGENTS + "steps")
    assert recorded.end == {"status": "succeeded", "output": "AB!"}
    assert [line["message"] for line in recorded.of("log.written")] == ["doing first"]
    assert [(event["task"], event["name"], event.get("parent")) for event in recorded.of("task.started")] == [
        ("task-1", "crew", None),
        ("task-2", "first", "task-1"),
        ("task-3", "second", "task-1"),
    ]


async def test_a_question_that_expires_may_end_the_run(recorder: Recorder) -> None:
    recorded = await run(recorder, "expires")
    assert recorded.end == {"status": "parked"}
    recorded.log.append({"type": "approval.answered", "at": 0, "approval": {**recorded.asked[0], "status": "expired"}})
    await recorder.go_on(recorded, "agent", AGENTS + "expires")
    # The time until which it may be answered is no part of what is asked.
    assert fault(recorded)["code"] == "timeout"


async def test_words_of_people_are_read_and_told_so(recorder: Recorder) -> None:
    recorded = await run(
        recorder,
        "steered",
        until=lambda event: event["type"] == "log.written",
        then=lambda child: child.line.send({"op": "steer", "steer_id": "s1", "text": "left"}),
    )
    assert recorded.end == {"status": "succeeded", "output": "heard: left"}
    assert [event["steer_id"] for event in recorded.of("steer.applied")] == ["s1"]


async def test_frameworks_keep_to_themselves_and_their_storage_goes_with_the_run(monkeypatch: pytest.MonkeyPatch, fake_llm: FakeLLM) -> None:
    monkeypatch.setenv("CREWLINE_API_KEY", "crk_secret")
    monkeypatch.setenv("CREWAI_TRACING_ENABLED", "true")
    children = Children([])
    recorded = await run(Recorder(children), "environment")
    await children.close()
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    told = ast.literal_eval(recorded.end["output"])
    assert (told["CREWAI_DISABLE_TELEMETRY"], told["CREWAI_TRACING_ENABLED"], told["OTEL_SDK_DISABLED"]) == ("true", "false", "true")
    assert told["stdin"] == ""
    # The worker's key is none of a crew's business.
    assert told["CREWLINE_API_KEY"] is None
    assert "crewline-run-" in told["storage"] and not Path(told["storage"]).exists()


async def test_whatever_is_printed_is_in_the_log_and_readable(recorder: Recorder) -> None:
    recorded = await run(recorder, "binary")
    assert recorded.end == {"status": "succeeded", "output": "still here"}
    lines = recorded.of("log.written")
    assert {line["fields"]["stream"]: line["level"] for line in lines} == {"stdout": "info", "stderr": "warn"}
    assert any("binary" in line["message"] for line in lines) and any(line["message"] == "żółć" for line in lines)
    for event in recorded.log:
        assert b"\0" not in str(event).encode()
        ormsgpack.packb(event)


async def test_what_is_printed_is_bounded(recorder: Recorder) -> None:
    recorded = await run(recorder, "prints_a_lot", {"lines": 5000})
    assert recorded.end == {"status": "succeeded", "output": "printed"}
    lines = recorded.of("log.written")
    assert len(lines) == 2001
    assert "are left out" in lines[-1]["message"]


async def test_every_event_fits_the_protocol(recorder: Recorder) -> None:
    recorded = await run(recorder, "huge")
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert all(len(ormsgpack.packb(event)) < 256 << 10 for event in recorded.log)
    assert "bytes more were left out" in recorded.of("task.finished")[0]["output"]


async def test_an_output_is_cut_and_cleaned_before_it_is_told(recorder: Recorder) -> None:
    recorded = await run(recorder, "huge_output")
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert len(recorded.end["output"]) < 33_000 and "bytes more were left out" in recorded.end["output"]
    recorded = await run(recorder, "unreadable_output")
    assert recorded.end == {"status": "succeeded", "output": "a \\x00 and \\ud800"}


async def test_what_is_too_much_or_no_message_fails_the_run(recorder: Recorder) -> None:
    assert "bytes can't be told at once" in fault(await run(recorder, "huge_message"))["message"]
    recorded = await run(recorder, "garbles")
    assert "what the run's process has said can't be read" in fault(recorded)["message"]
    assert os.WTERMSIG(recorded.status) == signal.SIGKILL


async def test_an_error_of_the_crew_is_told_where_it_was(recorder: Recorder) -> None:
    recorded = await run(recorder, "raises")
    told = fault(recorded)
    assert told["code"] == "internal" and told["message"].startswith("ValueError: a bug of the crew (agents.py, line ")
    assert recorded.of("task.failed")[0]["fault"] == told
    assert "Traceback" in recorded.of("log.written")[-1]["message"]


async def test_an_error_in_a_thread_is_told_by_the_crews_own_line(recorder: Recorder) -> None:
    message = fault(await run(recorder, "raises_in_a_thread"))["message"]
    assert "(agents.py, line " in message and "in raises_in_a_thread)" in message


async def test_a_crew_may_say_itself_why_it_failed(recorder: Recorder) -> None:
    recorded = await run(recorder, "refuses")
    assert fault(recorded) == {"code": "invalid", "message": "there is no such customer", "retry": "never"}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            "no_such_module:Crew",
            "`no_such_module` could not be imported by the worker: ModuleNotFoundError: No module named 'no_such_module'. Install the project",
        ),
        ("my_project.agents:nothing", "`my_project.agents` has no `nothing`"),
        ("my_project.fails_to_import:Crew", "could not be imported by the worker: RuntimeError: the database is away"),
    ],
)
async def test_what_can_not_be_loaded_is_told(recorder: Recorder, target: str, words: str) -> None:
    assert words in fault(await recorder.run("agent", target))["message"]


async def test_a_process_that_crashes_ends_without_a_word_and_its_log_says_where(recorder: Recorder) -> None:
    recorded = await run(recorder, "crashes")
    assert recorded.end is None and os.WTERMSIG(recorded.status) == 11
    assert any("in crashes" in line["message"] for line in recorded.of("log.written"))


async def test_a_process_that_leaves_tells_its_code(recorder: Recorder) -> None:
    recorded = await run(recorder, "leaves")
    assert recorded.end is None and os.WEXITSTATUS(recorded.status) == 3


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("agent", AGENTS + "speaks"),
        ("agent", AGENTS + "blocked"),
        ("agent", AGENTS + "busy"),
        ("agent", AGENTS + "asleep"),
        ("crew", "my_project.people:slow"),
        ("crew", "my_project.people:stuck"),
    ],
)
@pytest.mark.parametrize("mode", ["graceful", "now"])
async def test_a_run_is_cancelled_in_time_whatever_it_does(recorder: Recorder, kind: str, target: str, mode: str) -> None:
    asked: list[float] = []

    def works(event: dict[str, Any]) -> bool:
        # The model that never answers is asked after its task has begun.
        return not asked and event["type"] in ("text.delta", "log.written", "progress.reported" if target.endswith("stuck") else "")

    def cancel(child: Any) -> None:
        asked.append(time.monotonic())
        child.cancel(mode)

    recorded = await recorder.run(kind, target, {"n": 10**9}, until=works, then=cancel)
    assert time.monotonic() - asked[0] < CANCEL_SECONDS
    # Who looks at it ends by itself; the others are ended.
    assert recorded.end == {"status": "cancelled"} or (recorded.end is None and os.WIFSIGNALED(recorded.status))
    if mode == "graceful" and target.endswith(("speaks", "asleep", "slow")):
        assert recorded.end == {"status": "cancelled"}


async def test_what_a_run_has_started_ends_with_it(recorder: Recorder) -> None:
    recorded = await run(recorder, "parent", until=lambda event: event["type"] == "log.written", then=lambda child: child.cancel())
    pid = recorded.of("log.written")[0]["fields"]["pid"]
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("then", ["return", "leave", "cancel"])
async def test_a_run_ends_with_its_process_and_so_does_what_it_has_left_behind(recorder: Recorder, then: str) -> None:
    inputs = {"then": "wait" if then == "cancel" else then}
    below: list[psutil.Process] = []

    def look(child: Child) -> None:
        # One that does not wait may have ended by now.
        with contextlib.suppress(psutil.NoSuchProcess):
            below.extend(psutil.Process(child.pid).children(recursive=True))
        if then == "cancel":
            child.cancel("now")

    recorded = await run(recorder, "leaves_processes", inputs, until=lambda event: event.get("message") == "left", then=look)
    assert any(event["message"] == "before" for event in recorded.of("log.written"))
    if then == "return":
        assert recorded.end == {"status": "succeeded", "output": "done"}
    if then == "leave":
        assert recorded.end is None and os.waitstatus_to_exitcode(recorded.status) == 5
    left = recorded.of("log.written")
    pids = next(event["fields"]["pids"] for event in left if event["message"] == "left")
    assert len(pids) == 2
    while any(psutil.pid_exists(pid) for pid in [*pids, *(process.pid for process in below)]):
        await asyncio.sleep(0.01)


async def test_what_a_process_has_said_is_read_to_its_end_though_others_hold_it_open() -> None:
    """Where the system does not know what a run has left behind."""
    there_out, out = os.pipe()
    there, here = socket.socketpair()
    printed, line = await Printed.of(there_out), await Line.over(here)
    os.write(out, b"words")
    there.sendall(pack({"op": "end"}))
    printed.finish()
    line.finish()
    assert await printed.reader.read() == b"words"
    assert (await line.receive(), await line.receive()) == ({"op": "end"}, None)
    os.close(out)
    there.close()


async def test_a_process_starts_fast_though_it_has_crewai(recorder: Recorder) -> None:
    await run(recorder, "generated")
    before = time.monotonic()
    for _ in range(10):
        await run(recorder, "generated")
    # Importing CrewAI alone takes seconds.
    assert (time.monotonic() - before) / 10 < 0.5
