"""Other frameworks, as they are, told as runs."""

from __future__ import annotations

import sys

import pytest

from recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="session")

FRAMEWORKS = "my_project.frameworks:"


@pytest.mark.parametrize("name", ["with_langgraph", "with_openai_agents", "with_agno"])
async def test_an_agent_of_another_framework_is_told_as_a_run(recorder: Recorder, name: str) -> None:
    recorded = await recorder.run("agent", FRAMEWORKS + name)
    assert recorded.end == {"status": "succeeded", "output": "found it all"}
    assert recorded.text() == "found it all"
    assert len(recorded.of("text.delta")) == 3
    call = recorded.of("tool.started")[0]
    assert (call["tool"], call["input"]) == ("lookup", {"query": "facts"})
    assert [(event["call"], event["output"]) for event in recorded.of("tool.finished")] == [(call["call"], "3 facts for facts")]
    used = recorded.of("usage.recorded")
    assert used and {one["model"] for one in used} == {"fake-gpt"}
    assert all(one["input_tokens"] > 0 and one["output_tokens"] > 0 and one["cost_microusd"] == 0 for one in used)
    parts = [event["type"] for event in recorded.log if event["type"] in ("text.started", "text.finished", "task.finished")]
    assert parts == ["text.started", "text.finished", "task.finished"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="LangGraph can't interrupt a graph that is streamed async before Python 3.11")
async def test_an_interrupt_of_a_graph_asks_people(recorder: Recorder) -> None:
    recorded = await recorder.run("agent", FRAMEWORKS + "interrupted")
    assert recorded.end == {"status": "parked"}
    assert recorded.asked[0]["title"] == "Who are you?"
    recorder.answer(recorded, recorded.asked[0], {"verdict": "answer", "value": "Ada"})
    await recorder.go_on(recorded, "agent", FRAMEWORKS + "interrupted")
    assert recorded.end == {"status": "succeeded", "output": "Hello Ada"}
    assert recorded.text() == "Hello Ada"


async def test_nodes_that_speak_at_once_are_told_one_after_the_other(recorder: Recorder) -> None:
    recorded = await recorder.run("agent", FRAMEWORKS + "two_nodes_at_once")
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    parts: dict[str, str] = {}
    for event in recorded.of("text.delta"):
        parts[event["part"]] = parts.get(event["part"], "") + event["text"]
    assert sorted(parts.values()) == ["five six seven eight", "one two three four"]


async def test_messages_that_a_node_writes_in_short_are_told(recorder: Recorder) -> None:
    recorded = await recorder.run("agent", FRAMEWORKS + "messages_in_short")
    assert recorded.end == {"status": "succeeded", "output": " two"}
    assert recorded.text() == "one two"
