"""OpenAI's Agents SDK: an agent, executed as a run."""

from __future__ import annotations

import json
from typing import Any

from ..worker.run import AsyncRun


async def execute(run: AsyncRun, agent: Any, given: Any, **options: Any) -> str:
    """Runs an agent, and those that it hands over to, to the final output: words, tools and tokens are told as they come.

    Over chat completions a model tells its tokens only with `ModelSettings(include_usage=True)`.
    """
    from agents import Runner

    calls: dict[str, str] = {}
    run.agent, model = agent.name, model_of(agent)
    streamed: Any = Runner.run_streamed(agent, given, **options)
    async for event in streamed.stream_events():
        if event.type == "agent_updated_stream_event":
            run.end_text()
            run.agent, model = event.new_agent.name, model_of(event.new_agent)
        elif event.type == "raw_response_event":
            if event.data.type == "response.output_text.delta":
                run.text(event.data.delta)
            elif event.data.type == "response.completed":
                run.end_text()
                used = event.data.response.usage
                if used is not None:
                    run.usage(model, used.input_tokens, used.output_tokens)
        elif event.name == "tool_called":
            raw = event.item.raw_item
            calls[raw.call_id] = run.tool_started(raw.name, arguments_of(raw.arguments))
        elif event.name == "tool_output" and event.item.raw_item["call_id"] in calls:
            run.tool_finished(calls.pop(event.item.raw_item["call_id"]), event.item.output)
    return str(streamed.final_output)


def model_of(agent: Any) -> str:
    """The name of an agent's model."""
    model = agent.model
    return model if isinstance(model, str) else str(getattr(model, "model", None) or "default")


def arguments_of(raw: str) -> Any:
    """A call's arguments, which the model wrote as JSON."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw
