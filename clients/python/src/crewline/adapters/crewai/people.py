"""Where a crew or a flow asks people: reviews of a task, feedback on a flow's method, and questions of a flow."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

from crewai.agents.parser import AgentFinish
from crewai.core.providers.human_input import SyncHumanInputProvider, set_provider
from crewai.flow.async_feedback.types import PendingFeedbackContext
from crewai.flow.flow_config import flow_config
from crewai.flow.flow_context import current_flow_method_name
from crewai.hooks import register_before_llm_call_hook

from ...worker import values
from ...worker.run import Answer, RunBase
from .kept import KeptFlow
from .sink import Sink, task_name

#: What a question shows of an answer; what is longer is cut, and told so.
BODY_BYTES = 32 << 10
CUT = "bytes more were left out]"
AGAIN = "It is not good enough."


class Reviews(SyncHumanInputProvider):
    """`human_input=True`: a person looks at a task's answer; their words go back to the agent, who answers again."""

    def __init__(self, run: RunBase, sink: Sink) -> None:
        self._run, self._sink = run, sink

    def handle_feedback(self, formatted_answer: Any, context: Any) -> Any:
        """Asks until a person is content."""
        answer = formatted_answer
        while (words := self._feedback(answer, context)) is not None:
            context.messages.append(context._format_feedback_message(words))
            answer = context._invoke_loop()
        context.ask_for_human_input = False
        return answer

    async def handle_feedback_async(self, formatted_answer: Any, context: Any) -> Any:
        """The same, for crews that are kicked off async."""
        answer = formatted_answer
        while (words := await asyncio.to_thread(self._feedback, answer, context)) is not None:
            context.messages.append(context._format_feedback_message(words))
            answer = await context._ainvoke_loop()
        context.ask_for_human_input = False
        return answer

    def _feedback(self, answer: Any, context: Any) -> str | None:
        asked = review(task_name(context.task), self._get_output_string(answer))
        said = self._run.question({**asked, "task": self._sink.task_of(context.task)})
        return None if said == "approve" else said.comment or AGAIN


def review(name: str, output: str) -> dict[str, Any]:
    """The question whether an answer is good."""
    return {"kind": "review", "title": f'Is "{name}" done well?', "body": values.text(output, BODY_BYTES)}


def replay_reviews(run: RunBase, sink: Sink) -> None:
    """Lets a task whose answer people look at go on from that answer: what was approved is what is handed in, not another try."""
    waiting: dict[str, list[str]] = {}
    for row in run.past.approvals.values():
        if row["kind"] == "review" and row.get("task") and not row["body"].endswith(CUT):
            waiting.setdefault(row["task"], []).append(row["body"])
    if not waiting:
        return

    def answered(executor: Any) -> AgentFinish | None:
        if executor.task is None or not executor.task.human_input:
            return None
        bodies = waiting.get(sink.task_of(executor.task) or "")
        if not bodies:
            return None
        output = bodies.pop(0)
        finish = AgentFinish(thought="", output=output, text=output)
        if hasattr(executor, "state"):
            executor.state.messages.append({"role": "assistant", "content": output})
            executor.state.current_answer, executor.state.is_finished = finish, True
        else:
            executor.messages.append({"role": "assistant", "content": output})
        return finish

    for executor, (works, works_async) in executors().items():
        _replay(executor, works, works_async, answered)


def executors() -> dict[Any, tuple[str, str]]:
    """What executes an agent's task in this version of CrewAI, and the methods in which it asks the model until there is an answer."""
    found: dict[Any, tuple[str, str]] = {}
    for module, name, methods in (
        ("crewai.agents.agent_executor", "AgentExecutor", ("kickoff", "kickoff_async")),
        ("crewai.experimental.agent_executor", "AgentExecutor", ("kickoff", "kickoff_async")),
        ("crewai.agents.crew_agent_executor", "CrewAgentExecutor", ("_invoke_loop", "_ainvoke_loop")),
    ):
        try:
            executor = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError:
            continue
        if executor is not None:
            found[executor] = methods
    return found


def _replay(executor: Any, works: str, works_async: str, answered: Callable[[Any], AgentFinish | None]) -> None:
    work, work_async = getattr(executor, works), getattr(executor, works_async)

    def replayed(self: Any, *args: Any, **more: Any) -> Any:
        return answered(self) or work(self, *args, **more)

    async def replayed_async(self: Any, *args: Any, **more: Any) -> Any:
        return answered(self) or await work_async(self, *args, **more)

    setattr(executor, works, replayed)
    setattr(executor, works_async, replayed_async)


class Feedback:
    """`@human_feedback` and `Flow.ask()`."""

    def __init__(self, run: RunBase, sink: Sink, kept: KeptFlow | None) -> None:
        self._run, self._sink, self._kept = run, sink, kept

    def request_feedback(self, context: PendingFeedbackContext, flow: Any) -> str:
        """Asks for feedback on a method's result. The flow is put away when no other method of it is in the middle of something."""
        asked = {**feedback_question(context), "task": self._sink.method(context.method_name)}
        if self._kept is not None and self._kept.is_of(flow):
            return feedback_of(self._run.question(asked, self._kept.may_rest), context)
        return feedback_of(self._run.question(asked), context)

    def request_input(self, message: str, flow: Any, metadata: dict[str, Any] | None = None) -> str | None:
        """Asks for a text."""
        del flow, metadata
        title, task = values.text(message, 200), self._sink.method(current_flow_method_name.get(None))
        said = self._run.question({"kind": "input", "title": title, "body": message, "schema": {"type": "string"}, "task": task})
        return str(said.value) if said == "answer" else None


def feedback_question(context: PendingFeedbackContext) -> dict[str, Any]:
    """The question behind `@human_feedback`: a review, or where the flow goes on by the answer, words."""
    body = values.text(str(getattr(context.method_output, "raw", context.method_output)), BODY_BYTES)
    asked: dict[str, Any] = {"kind": "review", "title": values.text(context.message, 200), "body": body}
    if context.emit:
        outcomes = ", ".join(context.emit)
        asked |= {"kind": "input", "schema": {"type": "string", "description": f"Leads to one of: {outcomes}"}}
    return asked


def feedback_of(said: Answer, context: PendingFeedbackContext) -> str:
    """What the flow hears of an answer."""
    if said == "answer":
        return str(said.value)
    if said == "approve":
        return said.comment or ""
    return said.comment or ((context.default_outcome or "") if context.emit else AGAIN)


def listen(run: RunBase, sink: Sink, flow: KeptFlow | None = None) -> None:
    """Puts people where CrewAI would read a terminal, and what they say between its calls of models."""
    set_provider(Reviews(run, sink))
    feedback = Feedback(run, sink, flow)
    flow_config.hitl_provider = feedback
    flow_config.input_provider = feedback

    def steered(context: Any) -> None:
        for steer in run.steers:
            context.messages.append({"role": "user", "content": str(steer)})

    register_before_llm_call_hook(steered)
