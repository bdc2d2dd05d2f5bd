"""What an agent sees of its run: inputs, words to people and from them, questions, and whether it is to end."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from . import events
from .past import Past, approval_hash
from .values import json_value, text

#: What a question may have: more is cut.
TITLE_CHARS = 500
BODY_BYTES = 60 << 10
#: What the server keeps of one file.
ARTIFACT_BYTES = 8 << 20

Kind = Literal["review", "input", "tool"]


class RunCancelled(BaseException):
    """The run is to end. No `Exception`, on purpose: frameworks try again after those."""


class Parked(BaseException):
    """The run waits for people without holding its place; it is begun again when they have answered."""


class RunEnded(BaseException):
    """A question can't be answered, which ends the run with this fault. No `Exception`: nothing may go on as if it was allowed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.fault = events.fault(code, message)


class RunFailed(Exception):
    """Ends the run with this fault, which the person who started it reads."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.fault = events.fault(code, message, **more)


class Answer(str):
    """A person's answer: equal to its verdict (`"approve"`, `"reject"`, `"answer"`), with what they said beside it."""

    value: Any
    arguments: Any
    comment: str | None
    by: str | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Answer:
        """From an approval's row that waits no more. One that nobody answered is a rejection."""
        given = row.get("answer") or {}
        answer = cls(given.get("verdict", "reject"))
        answer.value, answer.arguments = given.get("value"), given.get("arguments")
        answer.comment, answer.by = given.get("comment") or None, row.get("answered_by")
        return answer


class Steer(str):
    """Words that a person gave to the run."""

    id: str

    @classmethod
    def of(cls, told: dict[str, Any]) -> Steer:
        """From what the log says of it."""
        steer = cls(told["text"])
        steer.id = told["steer_id"]
        return steer


class RunBase:
    """A run in its own process. Every method may be called from any thread."""

    def __init__(self, job: dict[str, Any], send: Callable[[Any], None]) -> None:
        self.id: str = job["run_id"]
        self.attempt: int = job["attempt"]
        self.crew: str = job["crew"]
        self.inputs: dict[str, Any] = job["inputs"]
        #: What earlier attempts have left behind.
        self.past = Past.of(job.get("past"))
        self.agent = self.crew
        self.task = "task-1"
        self._hot_seconds: float = job.get("hot_seconds", 0)
        self._send = send
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._cancelled = False
        self._put_away = False
        self._paused = self.past.paused
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._steers = [Steer.of(steer) for steer in self.past.steers]
        self._parts, self._calls, self._tasks = self.past.parts, self.past.calls, len(self.past.tasks)
        self._answered = [row for row in self.past.approvals.values() if not row.get("spent")]
        self._part: tuple[str, str, str] | None = None

    # What it is told.

    @property
    def cancelled(self) -> bool:
        """Whether the run is to end."""
        return self._cancelled

    @property
    def steers(self) -> list[Steer]:
        """Words of people since this was last read. Reading them tells who gave them that they have arrived."""
        with self._changed:
            steers, self._steers = self._steers, []
        for steer in steers:
            self.emit(events.steer_applied(steer.id, self.task))
        return steers

    def check(self) -> None:
        """Raises `RunCancelled` when the run is to end."""
        if self._cancelled:
            raise RunCancelled

    def rest(self) -> None:
        """A place where the run may be put away, when a person asked for a pause: what comes next has not begun."""
        self.check()
        if self._paused or self._put_away:
            raise Parked

    def put_away(self) -> None:
        """The run waits for people, and whatever it does beside that is to rest as well."""
        with self._changed:
            self._put_away = True
            self._changed.notify_all()

    def stir(self) -> None:
        """Lets questions that wait see anew whether the run may be put away."""
        with self._changed:
            self._changed.notify_all()

    def hear(self, told: dict[str, Any]) -> None:
        """Takes what the supervisor says."""
        with self._changed:
            if told["op"] == "cancel":
                self._cancelled = True
            elif told["op"] == "answer":
                self._answers[told["n"]] = told
            elif told["op"] == "pause":
                self._paused = told["paused"]
            elif told["op"] == "steer":
                self._steers.append(Steer.of(told))
            self._changed.notify_all()

    # What it says.

    def emit(self, *happened: events.Event) -> None:
        """Writes events into the run's log, in this order; waits while the server has not stored enough of those before."""
        self.check()
        with self._lock:
            for event in happened:
                self._send({"op": "event", "event": event})

    def next_part(self) -> str:
        """An id for a part of text, unique over all attempts."""
        with self._lock:
            self._parts += 1
            return f"part-{self._parts}"

    def next_call(self) -> str:
        """An id for a tool's call, unique over all attempts."""
        with self._lock:
            self._calls += 1
            return f"call-{self._calls}"

    def text(self, words: str, *, role: events.TextRole = "answer") -> None:
        """Says something. What an earlier attempt said already, before it waited for people, is not said twice."""
        self.check()
        with self._lock:
            words = self._unsaid(words) if role == "answer" else words
            if not words:
                return
            if self._part is None or self._part[1:] != (self.task, role):
                self.end_text()
                part = self.next_part()
                self._part = (part, self.task, role)
                self.emit(events.text_started(part, self.task, self.agent, role))
            self.emit(events.text_delta(self._part[0], words))

    def _unsaid(self, words: str) -> str:
        before = self.past.said.get(self.task)
        if not before:
            return words
        if before.startswith(words):
            self.past.said[self.task] = before[len(words) :]
            return ""
        del self.past.said[self.task]
        return words.removeprefix(before)

    def end_text(self) -> None:
        """Ends the part of text that is being said."""
        with self._lock:
            if self._part is not None:
                part, self._part = self._part[0], None
                self.emit(events.text_finished(part))

    def progress(self, fraction: float, message: str = "") -> None:
        """Says how far the run is, from 0 to 1."""
        self.emit(events.progress(fraction, message))

    def log(self, message: str, level: events.Level = "info", **fields: Any) -> None:
        """Writes a line for who looks closely."""
        self.emit(events.log(level, message, fields or None))

    def tool_started(self, tool: str, arguments: Any = None) -> str:
        """A tool is called; gives the id by which it ends."""
        call = self.next_call()
        self.end_text()
        self.emit(events.tool_started(call, self.task, self.agent, tool, arguments))
        return call

    def tool_finished(self, call: str, output: Any = None) -> None:
        """A tool gave its result."""
        self.emit(events.tool_finished(call, output))

    def tool_failed(self, call: str, message: str) -> None:
        """A tool failed, and the agent goes on."""
        self.emit(events.tool_failed(call, events.fault("internal", message)))

    def usage(self, model: str, input_tokens: int, output_tokens: int) -> None:
        """A model call's figures; the server prices them."""
        self.emit(events.usage(self.agent, model, input_tokens, output_tokens, self.task))

    # What it asks.

    def question(self, asked: dict[str, Any], ready: Callable[[], bool] = lambda: True) -> Answer:
        """Puts a question before people and waits for the answer; raises `Parked` when that takes long, and `ready` says that it may.

        An answer is bound to what was asked and to the task it was asked for: the same question of an earlier attempt is answered already,
        another one never is.
        """
        self.rest()
        # What is approved is what was seen: nothing is left out of arguments.
        asked = {name: json_value(value, whole=name == "arguments") for name, value in asked.items() if value is not None}
        asked["title"] = asked["title"][:TITLE_CHARS]
        asked["body"] = text(asked["body"], BODY_BYTES)
        bound = approval_hash(asked)
        number = self._next_number()
        with self._changed:
            known = next((row for row in self._answered if row.get("task") == asked.get("task") and approval_hash(row) == bound), None)
            if known is not None:
                self._answered.remove(known)
        if known is not None and known["status"] != "pending":
            return self._judged(known, bound)
        self._send({"op": "ask", "n": number, "asked": asked, "known": known["id"] if known else None})
        until = time.monotonic() + self._hot_seconds
        with self._changed:
            while number not in self._answers:
                self.rest()
                left = until - time.monotonic()
                if left <= 0 and ready():
                    raise Parked
                self._changed.wait(left if left > 0 else None)
            told = self._answers.pop(number)
        self.check()
        if "fault" in told:
            raise RunEnded(told["fault"]["code"], f'the question "{asked["title"]}" was refused: {told["fault"]["message"]}')
        return self._judged(told["approval"], bound)

    def keep(self, name: str, content: str | bytes, media_type: str | None = None) -> None:
        """Keeps a file of the run, and returns when the server has it; raises `RunFailed` with the fault when it was refused."""
        data = text(content, ARTIFACT_BYTES + 1).encode() if isinstance(content, str) else bytes(content)
        if len(data) > ARTIFACT_BYTES:
            raise RunFailed("too_large", f'the file "{name}" was not kept: it has more than {ARTIFACT_BYTES} bytes')
        number = self._next_number()
        self._send({"op": "keep", "n": number, "name": text(name), "media_type": media_type, "content": data})
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._cancelled)
            self.check()
            told = self._answers.pop(number)
        if "fault" in told:
            raise RunFailed(told["fault"]["code"], f'the file "{name}" was not kept: {told["fault"]["message"]}')

    def _next_number(self) -> int:
        with self._lock:
            self._asked += 1
            return self._asked

    def _judged(self, row: dict[str, Any], bound: str) -> Answer:
        if approval_hash(row) != bound:
            raise RunEnded("conflict", f'"{row["title"]}" was answered, but something else was asked: nothing was approved')
        if row["status"] == "expired" and row.get("on_expire") == "fail":
            raise RunEnded("timeout", f'nobody answered "{row["title"]}" in time: start the run again')
        return Answer.of(row)

    def _review(
        self, key: str, title: str, body: str, schema: Any, roles: list[str] | None, expires_in: float | None, on_expire: str
    ) -> dict[str, Any]:
        expires_at = int((time.time() + expires_in) * 1000) if expires_in is not None else None
        kind: Kind = "review" if schema is None else "input"
        words = body or title
        asked = {"kind": kind, "title": title or key, "body": words, "schema": schema, "roles": roles or None}
        return {**asked, "task": self.task, "expires_at": expires_at, "on_expire": on_expire}


class Run(RunBase):
    """A run, for functions and generators that are not async."""

    def ask(
        self,
        key: str,
        title: str = "",
        *,
        body: str = "",
        schema: Any = None,
        roles: list[str] | None = None,
        expires_in: float | None = None,
        on_expire: Literal["reject", "fail"] = "reject",
    ) -> Answer:
        """Asks people. Equal to `"approve"` or `"reject"`; with a JSON `schema` to `"answer"`, whose value is in `value`."""
        self.end_text()
        return self.question(self._review(key, title, body, schema, roles, expires_in, on_expire))

    def artifact(self, name: str, content: str | bytes, media_type: str | None = None) -> None:
        """Keeps a file of the run, of up to 8 MiB, for who looks at it; without a media type, the ending of its name tells it."""
        self.keep(name, content, media_type)

    def once(self, name: str, work: Callable[[], Any]) -> str:
        """Does a piece of work once over all attempts, as a task of its own; gives its output as text."""
        begun = _Piece(self, name)
        if begun.output is not None:
            return begun.output
        return begun.finished(begun.guarded(work))


class AsyncRun(RunBase):
    """A run, for async functions and generators."""

    async def ask(
        self,
        key: str,
        title: str = "",
        *,
        body: str = "",
        schema: Any = None,
        roles: list[str] | None = None,
        expires_in: float | None = None,
        on_expire: Literal["reject", "fail"] = "reject",
    ) -> Answer:
        """Asks people. Equal to `"approve"` or `"reject"`; with a JSON `schema` to `"answer"`, whose value is in `value`."""
        self.end_text()
        return await asyncio.to_thread(self.question, self._review(key, title, body, schema, roles, expires_in, on_expire))

    async def artifact(self, name: str, content: str | bytes, media_type: str | None = None) -> None:
        """Keeps a file of the run, of up to 8 MiB, for who looks at it; without a media type, the ending of its name tells it."""
        await asyncio.to_thread(self.keep, name, content, media_type)

    async def once(self, name: str, work: Callable[[], Any | Awaitable[Any]]) -> str:
        """Does a piece of work once over all attempts, as a task of its own; gives its output as text."""
        begun = _Piece(self, name)
        if begun.output is not None:
            return begun.output
        made = begun.guarded(work)
        return begun.finished(await made if inspect.isawaitable(made) else made)


class _Piece:
    """A piece of work that is done once."""

    def __init__(self, run: RunBase, name: str) -> None:
        self.run = run
        past = next((item for item in run.past.tasks.items() if item[1]["name"] == name and item[1]["parent"] == "task-1"), None)
        self.output: str | None = past[1].get("output") if past else None
        run.end_text()
        if self.output is None:
            run.rest()
        if past is None:
            run._tasks += 1
        self.id = past[0] if past else f"task-{run._tasks}"
        if self.output is None:
            run.emit(events.task_started(self.id, name, run.agent, "task-1"))
            run.task = self.id

    def guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:
            self.run.task = "task-1"
            self.run.emit(events.task_failed(self.id, events.fault("internal", str(error))))
            raise

    def finished(self, output: Any) -> str:
        self.run.end_text()
        self.run.task = "task-1"
        event = events.task_finished(self.id, "" if output is None else output)
        self.run.emit(event)
        return str(event["output"])


def storage() -> str:
    """The folder of this run; it is removed when the run's process has ended."""
    return os.environ["CREWLINE_RUN_DIR"]
