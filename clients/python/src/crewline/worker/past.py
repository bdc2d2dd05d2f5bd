"""What a run's log says of earlier attempts, as far as it helps to go on: finished tasks, questions and answers, checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

#: The message of the log line that keeps a framework's own checkpoint.
CHECKPOINT = "checkpoint"
#: The message of the log line that tells tasks of one name apart, by a hash of what is to be done.
WORK = "work"
#: How much of a task's words is remembered.
SAID_BYTES = 256 << 10


def approval_hash(asked: dict[str, Any]) -> str:
    """What a question binds an answer to: its kind, its words, and what exactly is to be done."""
    bound = [_same(asked.get(name)) for name in ("kind", "title", "body", "tool", "arguments", "schema")]
    return hashlib.sha256(json.dumps(bound, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _same(value: Any) -> Any:
    """A value as it comes back: a whole float may have become an integer."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _same(item) for name, item in value.items()}
    return [_same(item) for item in value] if isinstance(value, list) else value


@dataclass
class Past:
    """Folded from a run's events, one after another."""

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Each task that was begun: `name`, `agent`, `parent`, `work` where others are named so too, and `output` when it has finished."""
    approvals: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The rows of what was asked, as they are now."""
    said: dict[str, str] = field(default_factory=dict)
    """What was said in answer, of each task that has not finished."""
    checkpoint: Any = None
    steers: list[dict[str, Any]] = field(default_factory=list)
    """Words of people that no agent has read."""
    cancel: str | None = None
    paused: bool = False
    parts: int = 0
    calls: int = 0
    fraction: float = 0.0
    _open: dict[str, str] = field(default_factory=dict)
    _waits: bool = False

    def take(self, events: Iterable[dict[str, Any]]) -> Past:
        """Takes the next events of the log."""
        for event in events:
            self._take(event)
        return self

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "task.started":
            # A task that is begun anew has said nothing yet.
            self.tasks[event["task"]] = {name: event.get(name) for name in ("name", "agent", "parent")}
            self.said.pop(event["task"], None)
        elif kind == "task.finished" and event["task"] in self.tasks:
            self.tasks[event["task"]]["output"] = event["output"]
            self.said.pop(event["task"], None)
        elif kind == "text.started":
            self.parts += 1
            if event["role"] == "answer":
                self._open[event["part"]] = event["task"]
        elif kind == "text.delta":
            task = self._open.get(event["part"])
            if task is not None:
                self.said[task] = (self.said.get(task, "") + event["text"])[:SAID_BYTES]
        elif kind == "text.finished":
            self._open.pop(event["part"], None)
        elif kind == "tool.started":
            self.calls += 1
            self._spend(event["tool"], event["input"])
        elif kind == "approval.requested":
            self.approvals[event["approval"]["id"]] = event["approval"]
            self._waits = False
        elif kind == "run.waiting":
            self._waits = True
        elif kind == "approval.answered":
            # Who was there to hear it has begun what was allowed; what was refused is not asked again.
            row = event["approval"]
            spent = row["kind"] == "tool" and row["status"] == "approved" and not self._waits
            self.approvals[row["id"]] = {**row, "spent": spent}
        elif kind == "steer.received":
            self.steers.append({name: event[name] for name in ("steer_id", "text")})
        elif kind == "steer.applied":
            self.steers = [steer for steer in self.steers if steer["steer_id"] != event["steer_id"]]
        elif kind == "run.cancel_requested":
            self.cancel = event["mode"]
        elif kind == "run.pause_requested":
            self.paused = True
        elif kind == "run.resumed":
            self.paused = False
        elif kind == "progress.reported":
            self.fraction = event["fraction"]
        elif kind == "log.written" and event["message"] == CHECKPOINT:
            self.checkpoint = (event.get("fields") or {}).get("data")
        elif kind == "log.written" and event["message"] == WORK:
            told = event.get("fields") or {}
            if told.get("task") in self.tasks:
                self.tasks[told["task"]]["work"] = told.get("work")
        elif kind == "run.started":
            self._open.clear()

    def _spend(self, tool: str, arguments: Any) -> None:
        """An approval of a tool's call is good for one call: when that was begun and cut off, the next one is to be allowed anew."""
        for row in self.approvals.values():
            allowed = row["kind"] == "tool" and row["status"] == "approved" and not row.get("spent")
            if allowed and row.get("tool") == tool and row.get("arguments") == arguments:
                row["spent"] = True
                return

    def told(self) -> dict[str, Any]:
        """As it is handed to the run's process."""
        kept = asdict(self)
        return {name: value for name, value in kept.items() if not name.startswith("_")}

    @classmethod
    def of(cls, told: dict[str, Any] | None) -> Past:
        """From what the supervisor handed over."""
        return cls(**(told or {}))
