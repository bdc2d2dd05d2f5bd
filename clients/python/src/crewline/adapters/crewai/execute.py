"""Executing a crew or a flow as a run, and going on with one that an earlier attempt has left."""

from __future__ import annotations

from typing import Any

from crewai import Crew
from crewai import Task as CrewTask
from crewai.events.stream_context import add_stream_sink
from crewai.events.utils.console_formatter import set_suppress_console_output
from crewai.tasks.task_output import TaskOutput

from ...worker.run import RunBase, RunFailed
from . import people
from .allow import Allowing
from .describe import Made, make, placeholders
from .kept import KeptFlow
from .sink import Crewed, Sink, Task, output_text, title


def execute(run: RunBase, target: Any, *, approve: list[str]) -> str:
    """Executes it to its end; gives the output."""
    made = make(target)
    crew = made.made if isinstance(made.made, Crew) else None
    sink = Sink(run, _names(made, run.inputs), _crewed(crew), root=type(made.made).__name__ if crew is None else run.crew)
    add_stream_sink(sink)
    # The run's events tell what CrewAI would draw on a terminal.
    set_suppress_console_output(True)
    _end_from_threads()
    people.replay_reviews(run, sink)
    allowing = Allowing(run, sink, approve)
    if crew is not None:
        allowing.check(crew)
        people.listen(run, sink)
        output = _crew(run, crew, sink)
    else:
        flow = KeptFlow(run, made.made)
        sink.replays = flow.replays
        people.listen(run, sink, flow)
        output = output_text(flow.kickoff())
    allowing.tell_unmet()
    sink.end(output)
    return output


def _crew(run: RunBase, crew: Crew, sink: Sink) -> str:
    missing = [name for name in placeholders(crew) if name not in run.inputs]
    if missing and not crew.before_kickoff_callbacks:
        named = ", ".join(f"`{name}`" for name in missing)
        fields = [{"path": f"inputs.{name}", "code": "required", "message": "the crew has a placeholder of this name"} for name in missing]
        raise RunFailed("invalid", f"the crew wants {named}, which its inputs do not have", fields=fields)
    quiet(crew)
    done: dict[str, TaskOutput] = {}
    for task in crew.tasks:
        known = sink.crew.tasks[str(task.id)]
        kept = (run.past.tasks.get(known.id) or {}).get("output")
        if kept is None or kept.endswith(people.CUT):
            continue
        pydantic, json_dict = task._export_output(kept)
        role = getattr(task.agent, "role", "") or known.agent
        task.output = done[str(task.id)] = TaskOutput(
            name=task.name,
            description=task.description,
            expected_output=task.expected_output,
            raw=kept,
            pydantic=pydantic,
            json_dict=json_dict,
            agent=role,
            output_format=task._get_output_format(),
        )
    if done:
        # Tasks before the first that has no output are left out by CrewAI itself; those after it, which ran beside it, are not.
        crew.checkpoint_kickoff_event_id = f"{run.id}:{run.attempt}"
        _leave_out(done)
    return output_text(crew.kickoff(inputs=run.inputs))


def _leave_out(done: dict[str, TaskOutput]) -> None:
    work = CrewTask._execute_core

    def execute(self: Any, *args: Any, **more: Any) -> TaskOutput:
        return done.pop(str(self.id), None) or work(self, *args, **more)

    CrewTask._execute_core = execute  # type: ignore[method-assign]


def _end_from_threads() -> None:
    """Lets what ends the run in a task's own thread end the crew too, which waits for it: CrewAI hands on no more than `Exception`s."""
    work = CrewTask._execute_task_async

    def execute(self: Any, agent: Any, context: Any, tools: Any, future: Any) -> None:
        try:
            work(self, agent, context, tools, future)
        except BaseException as error:
            future.set_exception(error)

    CrewTask._execute_task_async = execute  # type: ignore[method-assign]


def quiet(crew: Crew) -> None:
    """Lets models stream, and keeps CrewAI from sending traces away or drawing panels."""
    crew.verbose = crew.tracing = False
    crew.stream = False
    agents = [*crew.agents, *([crew.manager_agent] if crew.manager_agent else [])]
    models: list[Any] = [crew.manager_llm]
    for agent in agents:
        agent.verbose = False
        models.append(agent.llm)
    for model in models:
        if hasattr(model, "stream"):
            model.stream = True


def _crewed(crew: Crew | None) -> Crewed:
    if crew is None:
        return Crewed({})
    tasks = {}
    for place, task in enumerate(crew.tasks):
        agent = (getattr(task.agent, "role", "") or "").strip()
        tasks[str(task.id)] = Task(f"task-{place + 1}", task.name or title(task.description), agent, place)
    managed = crew.process.value == "hierarchical"
    return Crewed(tasks, (lambda: crew.manager_agent) if managed else None)


def _names(made: Made, inputs: dict[str, Any]) -> dict[str, str]:
    """From roles to names: with their placeholders, and filled."""
    names = dict(made.names)
    for role, name in made.names.items():
        filled = role
        for key, value in inputs.items():
            filled = filled.replace("{" + key + "}", str(value))
        names[filled.strip()] = name
    return names
