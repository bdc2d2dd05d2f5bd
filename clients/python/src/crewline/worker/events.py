"""The events that a worker may write into a run's log, in the shapes that the server's own engine writes."""

from __future__ import annotations

import time
from typing import Any, Literal

from . import values

Event = dict[str, Any]
Level = Literal["debug", "info", "warn", "error"]
TextRole = Literal["answer", "thought"]


def _event(kind: str, **fields: Any) -> Event:
    return {"type": kind, "at": time.time_ns() // 1_000_000, **{name: value for name, value in fields.items() if value is not None}}


def fault(code: str, message: str, **more: Any) -> dict[str, Any]:
    """An error meant for people; trying the same again is up to them."""
    return {"code": code, "message": values.text(message, 4 << 10), "retry": "never", **more}


def task_started(task: str, name: str, agent: str, parent: str | None = None) -> Event:
    """A task begins; with `parent`, the task under which it was delegated."""
    return _event("task.started", task=task, name=name, agent=agent, parent=parent)


def task_finished(task: str, output: object) -> Event:
    """A task has its output."""
    return _event("task.finished", task=task, output=values.text(output))


def task_failed(task: str, why: dict[str, Any]) -> Event:
    """A task failed."""
    return _event("task.failed", task=task, fault=why)


def text_started(part: str, task: str, agent: str, role: TextRole = "answer") -> Event:
    """A model begins to speak."""
    return _event("text.started", part=part, task=task, agent=agent, role=role)


def text_delta(part: str, words: str) -> Event:
    """Words of a part."""
    return _event("text.delta", part=part, text=values.text(words))


def text_finished(part: str) -> Event:
    """A part is whole."""
    return _event("text.finished", part=part)


def tool_started(call: str, task: str, agent: str, tool: str, arguments: Any) -> Event:
    """An agent calls a tool."""
    # `input` may be any value, nil too: it is always there.
    return {**_event("tool.started", call=call, task=task, agent=agent, tool=tool), "input": values.bounded(arguments)}


def tool_finished(call: str, output: Any) -> Event:
    """A tool gave its result."""
    return {**_event("tool.finished", call=call), "output": values.bounded(output)}


def tool_failed(call: str, why: dict[str, Any]) -> Event:
    """A tool failed; the agent reads the fault and goes on."""
    return _event("tool.failed", call=call, fault=why)


def steer_applied(steer_id: str, task: str) -> Event:
    """Words of a person have reached an agent."""
    return _event("steer.applied", steer_id=steer_id, task=task)


def progress(fraction: float, message: str) -> Event:
    """How far the run is."""
    return _event("progress.reported", fraction=min(1.0, max(0.0, float(fraction))), message=values.text(message, 4096))


def usage(agent: str, model: str, input_tokens: int, output_tokens: int, task: str | None = None) -> Event:
    """A model call's figures. The server prices them: a worker's cost is always 0."""
    counts = {"input_tokens": max(0, input_tokens), "output_tokens": max(0, output_tokens), "cost_microusd": 0}
    return _event("usage.recorded", task=task, agent=agent, model=model, **counts)


def log(level: Level, message: str, fields: dict[str, Any] | None = None) -> Event:
    """A line for who looks closely."""
    told = {name: values.bounded(value) for name, value in fields.items()} if fields else None
    return _event("log.written", level=level, message=values.text(message, 16 << 10), fields=told)
