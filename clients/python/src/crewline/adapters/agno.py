"""agno: an agent, executed as a run."""

from __future__ import annotations

from typing import Any

from ..worker.run import AsyncRun, RunFailed


async def execute(run: AsyncRun, agent: Any, given: Any, **options: Any) -> str:
    """Runs an agent to its answer: words, tools and tokens are told as they come."""
    calls: dict[str, str] = {}
    said: list[str] = []
    run.agent = agent.name or run.agent
    async for event in agent.arun(given, stream=True, stream_events=True, **options):
        kind = event.event
        if kind == "RunContent" and event.content:
            said.append(str(event.content))
            run.text(said[-1])
        elif kind == "ToolCallStarted":
            calls[event.tool.tool_call_id] = run.tool_started(event.tool.tool_name, event.tool.tool_args)
        elif kind == "ToolCallCompleted" and event.tool.tool_call_id in calls:
            call = calls.pop(event.tool.tool_call_id)
            if event.tool.tool_call_error:
                run.tool_failed(call, str(event.tool.result))
            else:
                run.tool_finished(call, event.tool.result)
        elif kind == "RunCompleted" and event.metrics:
            run.end_text()
            run.usage(agent.model.id, event.metrics.input_tokens, event.metrics.output_tokens)
        elif kind == "RunError":
            raise RunFailed("internal", f"the agent failed: {event.content}")
    return "".join(said)
