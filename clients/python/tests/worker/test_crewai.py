"""CrewAI's crews and flows, as they stand, told as runs."""

from __future__ import annotations

from typing import Any

import pytest

from fake_llm import FakeLLM
from recorder import Recorded, Recorder

pytestmark = pytest.mark.asyncio(loop_scope="session")

INPUTS = {"topic": "Rust", "year": 2026}
RESEARCH = "my_project.crew:ResearchCrew"


def no_more_than(recorded: Recorded, *kinds: str) -> list[tuple[Any, ...]]:
    """The log in short, without times and lines."""
    short: list[tuple[Any, ...]] = []
    for event in recorded.log:
        if event["type"] in kinds:
            fields = {name: value for name, value in event.items() if name not in ("type", "at")}
            short.append((event["type"], *fields.values()))
    return short


async def test_a_crew_is_told_as_the_engine_would_tell_it(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", RESEARCH, INPUTS)
    assert recorded.end == {"status": "succeeded", "output": "The report is fine and ready to ship"}
    assert no_more_than(recorded, "task.started", "task.finished", "tool.started", "tool.finished", "text.started", "text.finished") == [
        ("task.started", "task-1", "research_task", "researcher"),
        ("tool.started", "call-1", "task-1", "researcher", "lookup", {"query": "facts"}),
        ("tool.finished", "call-1", "3 facts for facts"),
        ("text.started", "part-1", "task-1", "researcher", "answer"),
        ("text.finished", "part-1"),
        ("task.finished", "task-1", "Found three facts about rust streams and sockets today"),
        ("task.started", "task-2", "write_task", "writer"),
        ("text.started", "part-2", "task-2", "writer", "answer"),
        ("text.finished", "part-2"),
        ("task.finished", "task-2", "Rust streams well"),
        ("task.started", "task-3", "review_task", "reviewer"),
        ("text.started", "part-3", "task-3", "reviewer", "answer"),
        ("text.finished", "part-3"),
        ("task.finished", "task-3", "The report is fine and ready to ship"),
    ]
    assert recorded.text("task-2") == "Rust streams well"
    assert len([event for event in recorded.of("text.delta") if event["part"] == "part-2"]) == 3
    assert no_more_than(recorded, "progress.reported")[:2] == [
        ("progress.reported", 0.0, "Rust Senior Researcher begins research_task"),
        ("progress.reported", 1 / 3, "Rust Senior Researcher has finished research_task"),
    ]
    assert recorded.of("progress.reported")[-1]["fraction"] == 1.0


async def test_every_model_call_tells_its_tokens_and_no_cost(recorder: Recorder, fake_llm: FakeLLM) -> None:
    before = len(fake_llm.requests)
    recorded = await recorder.run("crew", RESEARCH, INPUTS)
    used = recorded.of("usage.recorded")
    assert len(used) == len(fake_llm.requests) - before == 4
    assert {(one["task"], one["agent"], one["model"]) for one in used} == {
        ("task-1", "researcher", "fake-gpt"),
        ("task-2", "writer", "fake-gpt"),
        ("task-3", "reviewer", "fake-gpt"),
    }
    assert all(one["input_tokens"] > 0 and one["output_tokens"] > 0 and one["cost_microusd"] == 0 for one in used)


async def test_an_output_that_is_a_file_is_kept_with_the_run(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", "my_project.crew:filed", INPUTS)
    assert recorded.end is not None and recorded.end["status"] == "succeeded", recorded
    assert recorded.kept == {"Rust.md": b"Rust streams well"}


async def test_arguments_in_the_making_are_not_kept_once_for_each_part(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", "my_project.crew:counted", INPUTS)
    assert len(recorded.of("tool.started")) == 1
    assert "0 kept" in [event["message"] for event in recorded.of("log.written")]


async def test_inputs_that_a_crew_misses_are_named(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", RESEARCH, {"topic": "Rust"})
    assert recorded.end is not None and recorded.end["status"] == "failed"
    assert recorded.end["fault"]["code"] == "invalid"
    assert [one["path"] for one in recorded.end["fault"]["fields"]] == ["inputs.year"]


async def test_work_that_is_handed_on_is_nested_under_its_task(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", "my_project.people:hierarchical", {"topic": "it"})
    assert recorded.end == {"status": "succeeded", "output": "managed"}
    started = recorded.of("task.started")
    assert [(one["task"], one["name"], one["agent"], one.get("parent")) for one in started] == [
        ("task-1", "report", "Crew Manager", None),
        ("task-1.delegated-1", "delegated", "Writer", "task-1"),
    ]
    assert recorded.text("task-1.delegated-1") == "the handed over report"
    call = recorded.of("tool.started")[0]
    assert (call["tool"], call["task"], call["agent"]) == ("coworker.delegate", "task-1", "Crew Manager")
    order = [event["type"] for event in recorded.log if event.get("task") == "task-1.delegated-1" or event.get("call") == call["call"]]
    assert order == ["tool.started", "task.started", "text.started", "usage.recorded", "task.finished", "tool.finished"]


async def test_a_tool_that_fails_is_told_and_the_crew_goes_on(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", "my_project.people:failing_tool")
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert "no route to ada@example.com" in recorded.of("tool.failed")[0]["fault"]["message"]
    assert not recorded.of("tool.finished")


async def test_tasks_at_once_keep_their_words_apart(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", "my_project.people:side_by_side")
    assert recorded.end == {"status": "succeeded", "output": "said by C"}
    assert [recorded.text(f"task-{place}") for place in (1, 2, 3)] == ["said by A", "said by B", "said by C"]


async def test_nothing_that_crewai_would_draw_is_in_the_log(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", RESEARCH, INPUTS)
    printed = [line["message"] for line in recorded.of("log.written")]
    assert not [line for line in printed if "Execution Started" in line or "│" in line]
    assert not [line for line in printed if "trace" in line.lower()]


async def test_a_flow_is_told_method_by_method_with_its_crews_below(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", "my_project.people:WritingFlow", {"topic": "tides"})
    assert recorded.end == {"status": "succeeded", "output": "sent: about tides"}
    assert [(one["task"], one["name"], one["agent"], one.get("parent")) for one in recorded.of("task.started")] == [
        ("task-1", "draft", "WritingFlow", None),
        ("task-2", "write", "Writer", "task-1"),
        ("task-3", "send", "WritingFlow", None),
    ]
    assert recorded.text("task-2") == "about tides"
    assert {one["task"]: one["output"] for one in recorded.of("task.finished")} == {
        "task-1": "about tides",
        "task-2": "about tides",
        "task-3": "sent: about tides",
    }
