"""Executes a run in a real process of its own, with people who answer by a script, and keeps what it tells as the server would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crewline.worker.children import Children
from crewline.worker.past import Past
from crewline.worker.printed import told

Answering = Callable[[dict[str, Any]], dict[str, Any] | None]
BOUND = 60.0


@dataclass
class Recorded:
    """A run over its attempts."""

    log: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    status: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The events of these types."""
        return [event for event in self.log if event["type"] in kinds]

    def text(self, task: str | None = None) -> str:
        """What was said in answer."""
        parts = {event["part"] for event in self.of("text.started") if event["role"] == "answer" and task in (None, event["task"])}
        return "".join(event["text"] for event in self.of("text.delta") if event["part"] in parts)


class Recorder:
    """Executes runs."""

    def __init__(self, children: Children) -> None:
        self.children = children

    async def run(self, kind: str, target: str, inputs: dict[str, Any] | None = None, **more: Any) -> Recorded:
        """Executes a run until it ends or is put away."""
        return await self.go_on(Recorded(), kind, target, inputs, **more)

    async def go_on(
        self,
        recorded: Recorded,
        kind: str,
        target: str,
        inputs: dict[str, Any] | None = None,
        *,
        answers: Answering = lambda _: None,
        approve: list[str] | None = None,
        hot_seconds: float = 0.0,
        until: Callable[[dict[str, Any]], bool] = lambda _: False,
        then: Callable[[Any], None] = lambda _: None,
    ) -> Recorded:
        """Executes the next attempt. When an event comes of which `until` holds, `then` is called with the process."""
        job = {"op": "run", "kind": kind, "target": target, "run_id": "run", "attempt": 1, "crew": "crew", "inputs": inputs or {}}
        past = Past().take(recorded.log)
        child = await self.children.start({**job, "approve": approve or [], "past": past.told(), "hot_seconds": hot_seconds})

        async def say(event: dict[str, Any]) -> None:
            recorded.log.append(event)
            if until(event):
                then(child)

        printed = asyncio.gather(told(child.output, "stdout", "info", say), told(child.errors, "stderr", "warn", say))
        recorded.end = None

        async def listen() -> None:
            while (message := await child.said()) is not None:
                if message["op"] == "event":
                    await say(message["event"])
                elif message["op"] == "ask":
                    self._ask(recorded, message, answers, child)
                elif message["op"] == "keep":
                    recorded.kept[message["name"]] = message["content"]
                    child.line.send({"op": "answer", "n": message["n"]})
                else:
                    recorded.end = {name: value for name, value in message.items() if name != "op"}

        await asyncio.wait_for(listen(), BOUND)
        recorded.status = await child.cleared()
        await printed
        if recorded.end is not None and recorded.end["status"] == "parked":
            recorded.log.append({"type": "run.waiting", "at": 0, "for": "approval"})
        return recorded

    def _ask(self, recorded: Recorded, message: dict[str, Any], answers: Answering, child: Any) -> None:
        row = next((row for row in recorded.asked if row["id"] == message["known"]), None)
        if row is None:
            row = {"id": f"approval-{len(recorded.asked) + 1}", "status": "pending", "on_expire": "reject", **message["asked"]}
            recorded.asked.append(row)
            recorded.log.append({"type": "approval.requested", "at": 0, "approval": row})
        answer = answers(row)
        if answer is not None:
            child.line.send({"op": "answer", "n": message["n"], "approval": self.answer(recorded, row, answer)})

    @staticmethod
    def answer(recorded: Recorded, row: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """A person answers."""
        status = {"approve": "approved", "reject": "rejected", "answer": "answered"}[answer["verdict"]]
        answered = {**row, "status": status, "answer": answer}
        recorded.log.append({"type": "approval.answered", "at": 0, "approval": answered})
        return answered
