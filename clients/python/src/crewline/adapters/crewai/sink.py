"""CrewAI's events, told as the events of a run.

They come from the stream sink: in order, and of this run alone. The event bus itself would mix runs and hand them on from a pool of threads.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...worker import events
from ...worker.past import WORK
from ...worker.run import RunBase, RunFailed

#: CrewAI's tools by which an agent hands work to another, and what the run calls them and their work.
COWORKERS = {"delegate_work_to_coworker": ("coworker.delegate", "delegated"), "ask_question_to_coworker": ("coworker.ask", "asked")}
#: Before these the run may be put away, when a person asked for a pause.
RESTS = {"task_started", "llm_call_started", "tool_usage_started", "method_execution_started"}
#: Said elsewhere: the run's own fault tells why a crew or a flow failed.
TOLD_BY_THE_RUN = {"crew_kickoff_failed", "flow_failed", "agent_execution_error", "method_execution_failed"}


@dataclass
class Task:
    """A task as the run knows it."""

    id: str
    name: str
    agent: str
    place: int | None = None
    """Its place among the crew's own tasks."""
    told: bool = False
    """The log has its end already."""


@dataclass
class Call:
    """A tool's call that has not ended."""

    id: str
    task: Task
    kind: str | None = None
    """What work comes of it, where a coworker is asked."""
    work: Task | None = None
    thread: int = 0


@dataclass
class Crewed:
    """The run's own crew."""

    tasks: dict[str, Task]
    """By CrewAI's ids."""
    manager: Any = None


@dataclass
class Sink:
    """Takes CrewAI's events and writes the run's."""

    run: RunBase
    names: dict[str, str]
    """From a stripped role to the agent's name."""
    crew: Crewed
    root: str
    """Who works where no agent is named."""
    refused: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Calls that are not made because people did not allow them, and the faults that say so."""
    replays: Callable[[Any, str], bool] = lambda _flow, _method: False
    """Whether a flow's method, which begins, is not executed: an earlier attempt did that."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self.run._tasks = max(self.run._tasks, len(self.crew.tasks))
        self._tasks: dict[str, Task] = dict(self.crew.tasks)
        self._scopes: dict[str, str | None] = {}
        self._at: dict[str, Task | Call] = {}
        self._calls: dict[str, Call] = {}
        self._parts: dict[tuple[str, str], str] = {}
        self._below: dict[tuple[str, str], int] = {}
        self._finished = sum(1 for task in self._tasks.values() if task.place is not None and self._has_finished(task))
        self._implicit: Task | None = None
        self._methods: dict[str, Task] = {}
        self._begun = {task.id for task in self._tasks.values()}

    def __call__(self, source: Any, event: Any) -> None:
        """Takes an event, in the thread that made it. Raises when the run is to end, which is how a crew is stopped."""
        kind: str = event.type
        if kind == "hook_dispatched" or kind.endswith("_env"):
            return
        self.run.check()
        if kind in RESTS:
            self.run.rest()
        with self._lock:
            if kind.endswith("_started"):
                self._scopes[event.event_id] = event.parent_event_id
            take = getattr(self, "_on_" + kind, None)
            if take is not None:
                take(source, event)
            elif kind.endswith(("_failed", "_error")) and kind not in TOLD_BY_THE_RUN and getattr(event, "error", None):
                self.run.log(f"{kind.replace('_', ' ')}: {event.error}", "warn")
            if event.started_event_id is not None:
                self._scopes.pop(event.started_event_id, None)
                self._at.pop(event.started_event_id, None)

    # Who and where.

    def agent(self, role: str | None) -> str:
        """An agent's name; roles from folded YAML end in a newline."""
        bare = (role or "").strip()
        return self.names.get(bare, bare) or self.root

    def where(self, event: Any) -> Task:
        """The task that an event belongs to: its own, that of a coworker who was asked, or the flow's method around it."""
        known = self._tasks.get(event.task_id or "")
        if known is not None:
            return known
        around = self._around(event.parent_event_id)
        if isinstance(around, Call):
            if around.work is None:
                around.work = self._work_of(around, event)
            if event.task_id:
                self._tasks[event.task_id] = around.work
            return around.work
        if around is not None:
            return around
        if self._implicit is None:
            self._implicit = self._begin_own(self.run.crew, self.root, None)
        return self._implicit

    def _around(self, scope: str | None) -> Task | Call | None:
        while scope is not None:
            found = self._at.get(scope)
            if found is not None:
                return found
            scope = self._scopes.get(scope)
        return None

    def _work_of(self, call: Call, event: Any) -> Task:
        kind = call.kind or "delegated"
        number = self._below[call.task.id, kind] = self._below.get((call.task.id, kind), 0) + 1
        agent = self.agent(event.agent_role or getattr(event, "agent_role", None))
        return self._begin(f"{call.task.id}.{kind}-{number}", kind, agent, call.task.id)

    def _begin_own(self, name: str, agent: str, parent: str | None, *, replayed: bool = False, work: str | None = None) -> Task:
        """Begins a task under the id that an earlier attempt gave it: what people answered there is an answer here, and nowhere else."""
        past, same = self.run.past.tasks.items(), (name, parent, work)
        id = next((id for id, task in past if id not in self._begun and (task["name"], task["parent"], task.get("work")) == same), None)
        if id is None:
            self.run._tasks += 1
            id = f"task-{self.run._tasks}"
        self._begun.add(id)
        finished = id in self.run.past.tasks and self.run.past.tasks[id].get("output") is not None
        if id in self.run.past.tasks and (replayed or not finished):
            return Task(id, name, agent, told=finished)
        task = self._begin(id, name, agent, parent)
        if work is not None:
            self.run.log(WORK, "debug", task=id, work=work)
        return task

    def _begin(self, id: str, name: str, agent: str, parent: str | None) -> Task:
        task = Task(id, name, agent)
        self.run.emit(events.task_started(id, name, agent, parent))
        return task

    def _has_finished(self, task: Task) -> bool:
        return (self.run.past.tasks.get(task.id) or {}).get("output") is not None

    def end(self, output: str | None) -> None:
        """Ends what the run began by itself."""
        with self._lock:
            if self._implicit is not None and output is not None:
                self.run.emit(events.task_finished(self._implicit.id, output))

    # Tasks.

    def _on_task_started(self, source: Any, event: Any) -> None:
        task = self._tasks.get(event.task_id)
        agent = getattr(source, "agent", None)
        role = getattr(self.crew.manager() if self.crew.manager else None, "role", None) or getattr(agent, "role", None)
        if task is None:
            around = self._around(event.parent_event_id)
            parent = around.task if isinstance(around, Call) else around
            name = getattr(source, "name", None) or title(getattr(source, "description", ""))
            # Those that run at once may begin in another order the next time.
            work = work_hash(source.description) if getattr(source, "human_input", False) else None
            task = self._begin_own(name, self.agent(getattr(agent, "role", None)), parent.id if parent else None, work=work)
            self._tasks[event.task_id] = task
        else:
            task.agent = self.agent(role)
            if task.id not in self.run.past.tasks:
                self.run.emit(events.task_started(task.id, task.name, task.agent))
            self._report(f"{(role or task.agent).strip()} begins {task.name}")
        self._at[event.event_id] = task
        # Words of people reach it.
        self.run.task = task.id

    def _on_task_completed(self, source: Any, event: Any) -> None:
        task = self._tasks.get(event.task_id)
        if task is None:
            return
        if getattr(source, "output_file", None):
            self._keep(str(source.output_file), event.output.raw)
        self.run.emit(events.task_finished(task.id, event.output.raw))
        if task.place is not None:
            self._finished += 1
            self._report(f"{str(event.output.agent or task.agent).strip()} has finished {task.name}")

    def _on_task_failed(self, _source: Any, event: Any) -> None:
        task = self._tasks.get(event.task_id)
        if task is not None:
            self.run.emit(events.task_failed(task.id, events.fault("internal", event.error)))

    def _keep(self, name: str, output: str) -> None:
        try:
            self.run.keep(name, output)
        except RunFailed as failed:
            # The task is done, and CrewAI has written the file where the worker is.
            self.run.log(str(failed), "warn")

    def _report(self, message: str) -> None:
        self.run.progress(self._finished / max(1, len(self.crew.tasks)), message)

    def _on_method_execution_started(self, source: Any, event: Any) -> None:
        around = self._around(event.parent_event_id)
        parent = around.task if isinstance(around, Call) else around
        replayed = self.replays(source, event.method_name)
        task = self._begin_own(event.method_name, self.root, parent.id if parent else None, replayed=replayed)
        self._at[event.event_id] = self._methods[event.method_name] = task
        self.run.task = task.id

    def _on_method_execution_finished(self, _source: Any, event: Any) -> None:
        task = self._at.get(event.started_event_id or "")
        if isinstance(task, Task) and not task.told:
            self.run.emit(events.task_finished(task.id, output_text(event.result)))

    def _on_method_execution_failed(self, _source: Any, event: Any) -> None:
        task = self._at.get(event.started_event_id or "")
        if isinstance(task, Task):
            self.run.emit(events.task_failed(task.id, events.fault("internal", str(event.error))))

    # Models.

    def _on_llm_stream_chunk(self, _source: Any, event: Any) -> None:
        if event.tool_call is not None:
            # CrewAI keeps every event, and each of these has all of the arguments so far: long ones would take memory by their square.
            event.tool_call = None
        elif event.chunk:
            self._say(event, "answer", event.chunk)

    def _on_llm_thinking_chunk(self, _source: Any, event: Any) -> None:
        if event.chunk:
            self._say(event, "thought", event.chunk)

    def _say(self, event: Any, role: events.TextRole, words: str) -> None:
        part = self._parts.get((event.call_id, role))
        if part is None:
            part = self._parts[event.call_id, role] = self.run.next_part()
            task = self.where(event)
            self.run.emit(events.text_started(part, task.id, self.agent(event.agent_role) if event.agent_role else task.agent, role))
        self.run.emit(events.text_delta(part, words))

    def _end_parts(self, event: Any) -> bool:
        roles: tuple[events.TextRole, ...] = ("thought", "answer")
        parts = [part for role in roles if (part := self._parts.pop((event.call_id, role), None))]
        self.run.emit(*(events.text_finished(part) for part in parts))
        return bool(parts)

    def _on_llm_call_completed(self, _source: Any, event: Any) -> None:
        task = self.where(event)
        if (event.call_id, "answer") not in self._parts and isinstance(event.response, str) and event.call_type.value != "tool_call":
            # A model that does not stream says it all at once.
            self._say(event, "answer", event.response)
        self._end_parts(event)
        if event.usage:
            used = {name: count for name, count in event.usage.items() if isinstance(count, int)}
            given = used.get("prompt_tokens", used.get("input_tokens", 0))
            made = used.get("completion_tokens", used.get("output_tokens", 0))
            agent = self.agent(event.agent_role) if event.agent_role else task.agent
            self.run.emit(events.usage(agent, event.model or "unknown", given, made, task.id))

    def _on_llm_call_failed(self, _source: Any, event: Any) -> None:
        self._end_parts(event)
        self.run.log(f"a model call failed: {event.error}", "warn")

    # Tools.

    def _on_tool_usage_started(self, _source: Any, event: Any) -> None:
        task = self.where(event)
        tool, kind = COWORKERS.get(event.tool_name, (event.tool_name, None))
        call = Call(self.run.next_call(), task, kind, thread=threading.get_ident())
        self._calls[event.event_id] = call
        if kind is not None:
            self._at[event.event_id] = call
        agent = self.agent(event.agent_role) if event.agent_role else task.agent
        self.run.emit(events.tool_started(call.id, task.id, agent, tool, event.tool_args))

    def _on_tool_usage_finished(self, _source: Any, event: Any) -> None:
        call = self._ended(event)
        if call is None:
            return
        output = output_text(event.output) if not isinstance(event.output, (dict, list)) else event.output
        if call.work is not None:
            self.run.emit(events.task_finished(call.work.id, output_text(event.output)))
        failure = getattr(event, "failure", None)
        if call.id in self.refused:
            self.run.emit(events.tool_failed(call.id, self.refused.pop(call.id)))
        elif failure is not None:
            self.run.emit(events.tool_failed(call.id, events.fault("internal", str(failure.message))))
        else:
            self.run.emit(events.tool_finished(call.id, output))

    def _on_tool_usage_error(self, _source: Any, event: Any) -> None:
        call = self._ended(event)
        if call is None:
            return
        why = events.fault("internal", str(event.error))
        if call.work is not None:
            self.run.emit(events.task_failed(call.work.id, why))
        self.run.emit(events.tool_failed(call.id, why))

    def _ended(self, event: Any) -> Call | None:
        return self._calls.pop(event.started_event_id or "", None)

    def call_here(self) -> Call | None:
        """The call that this thread is about to make."""
        with self._lock:
            here = [call for call in self._calls.values() if call.thread == threading.get_ident()]
            return here[-1] if here else None

    def own_task(self, call: Call | None) -> str | None:
        """The name of the crew's own task that a call is for, however far down it was handed."""
        own = call.task.id.partition(".")[0] if call else None
        return next((task.name for task in self.crew.tasks.values() if task.id == own), None)

    def method(self, name: str | None) -> str | None:
        """The id of the task that a flow's method is, which has begun last."""
        with self._lock:
            begun = self._methods.get(name or "")
            return begun.id if begun is not None else None

    def task_of(self, task: Any) -> str | None:
        """The id of a task of CrewAI's."""
        known = self._tasks.get(str(getattr(task, "id", "")))
        return known.id if known is not None else None


def work_hash(description: str) -> str:
    """Tells what is to be done apart."""
    return hashlib.sha256(description.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def task_name(task: Any) -> str:
    """What a task is called in a question."""
    return (getattr(task, "name", None) or title(getattr(task, "description", "") or "")).strip() or "the task"


def title(description: str) -> str:
    """A task's name, where it has none: the beginning of what is to be done."""
    words = " ".join(description.split())
    return words if len(words) <= 60 else words[:59] + "…"


def output_text(value: Any) -> str:
    """A result as text."""
    if value is None:
        return ""
    return str(getattr(value, "raw", value))
