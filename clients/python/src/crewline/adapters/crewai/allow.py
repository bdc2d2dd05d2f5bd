"""Tools that are called only when a person allowed the call."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from crewai import Crew
from crewai.hooks import register_after_tool_call_hook, register_before_llm_call_hook, register_before_tool_call_hook
from crewai.utilities.string_utils import sanitize_tool_name

from ...worker import events, values
from ...worker.run import RunBase, RunFailed
from ...worker.target import load
from .sink import COWORKERS, Sink, task_name

#: Whether people are asked about a call of the tool with these arguments, and how: true, or `roles`, `expires_in` (seconds), `on_expire`.
Rule = Callable[[str, dict[str, Any]], bool | Mapping[str, Any] | None]
#: The most that is put before a person: with what they change in it, it fits the row of a question, which has 192 KiB.
ARGUMENTS_BYTES = 90 << 10
#: What CrewAI may give an agent by itself.
OF_CREWAI = {*COWORKERS, "search_memory", "save_to_memory", "read_file", "add_image_to_content", "code_interpreter"}
#: How alike names are of which one is a slip of the other.
NEARLY = 0.7
#: Marks a call in its own arguments that is not made.
REFUSED = "__refused__"


class Allowing:
    """What of a run's tools people decide on."""

    def __init__(self, run: RunBase, sink: Sink, approve: list[str]) -> None:
        self._run, self._sink = run, sink
        #: By the names that models call tools by: how each was named, and the rule that was given for it as `tool=module:function`.
        self._rules: dict[str, tuple[str, Rule | None]] = {}
        self._may_lack: set[str] = set()
        for one in approve:
            given, _, rule = one.partition("=")
            named = given.removesuffix("?")
            name = named if named == "*" else sanitize_tool_name(named)
            self._rules[name] = named, load(rule) if rule else None
            if named != given:
                self._may_lack.add(name)
        self._met = set(OF_CREWAI)
        register_before_tool_call_hook(self._before)
        register_after_tool_call_hook(self._after)
        register_before_llm_call_hook(self._meet)

    def check(self, crew: Crew) -> None:
        """Ends the run before anything is done when a name in `approve` is that of no tool of the crew."""
        owners: list[Any] = [*crew.agents, *crew.tasks, *(task.agent for task in crew.tasks), crew.manager_agent]
        if any(getattr(owner, "mcps", None) or getattr(owner, "apps", None) for owner in owners):
            # Which tools these bring is known only when they are asked.
            return
        known = tools_of(owners)
        self._met |= known
        # Where a crew may lack a tool, one that is nearly named so is meant.
        wrong = [name for name in self._unmet() if name not in self._may_lack or get_close_matches(name, known, cutoff=NEARLY)]
        if wrong:
            there = f"it has {_listed(known)}" if known else "it has none"
            named = _listed(self._rules[name][0] for name in wrong)
            raise RunFailed("invalid", f"people are to allow calls of {named}, but the crew has no tool of that name; {there}: correct `approve`")

    def tell_unmet(self) -> None:
        """Says which names in `approve` were those of no tool, where that is known only afterwards."""
        unmet = [self._rules[name][0] for name in self._unmet() if name not in self._may_lack]
        if unmet:
            self._run.log(f"people were to allow calls of {_listed(unmet)}, but no agent had a tool of that name: is `approve` right?", "warn")

    def _unmet(self) -> list[str]:
        return [name for name in self._rules if name != "*" and name not in self._met]

    def _meet(self, context: Any) -> None:
        self._met |= tools_of([context.agent, context.task])

    def _before(self, context: Any) -> bool | None:
        self._met.add(sanitize_tool_name(context.tool_name))
        try:
            why = self._why_not(context)
        except Exception as error:
            # CrewAI makes the call when a hook fails.
            why = events.fault("internal", f"people could not be asked about this call, so it was not made: {type(error).__name__}: {error}")
            self._run.log(why["message"], "error", tool=context.tool_name)
        if why is None:
            return None
        context.tool_input[REFUSED] = why["message"]
        call = self._sink.call_here()
        if call is not None:
            self._sink.refused[call.id] = why
        return False

    def _after(self, context: Any) -> str | None:
        # The agent reads why, instead of that a hook blocked it.
        why: str | None = context.tool_input.pop(REFUSED, None)
        return why

    def _why_not(self, context: Any) -> dict[str, Any] | None:
        how = self._asks(context)
        if how is None:
            return None
        shown = values.json_value(dict(context.tool_input), whole=True)
        size = len(json.dumps(shown, ensure_ascii=False).encode())
        if size > ARGUMENTS_BYTES:
            message = f"a person has to allow this call, and its arguments have {size} bytes; {ARGUMENTS_BYTES} can be shown: make them shorter"
            return events.fault("too_large", message)
        agent, call = self._sink.agent(getattr(context.agent, "role", None)), self._sink.call_here()
        said = self._run.question(
            {
                "kind": "tool",
                "title": f"May {agent} call {context.tool_name}?",
                "body": f'It is for "{self._sink.own_task(call) or task_name(context.task)}".',
                "tool": context.tool_name,
                "arguments": shown,
                "task": call.task.id if call else None,
                "call": call.id if call else None,
                **how,
            }
        )
        if said != "approve":
            return events.fault("forbidden", "a person did not allow this call" + (f": {said.comment}" if said.comment else ""))
        if isinstance(said.arguments, dict):
            # What a person left as it is stays what it was, whatever it was shown as.
            given = {**context.tool_input}
            same = {name for name, value in said.arguments.items() if name in shown and shown[name] == value}
            context.tool_input.clear()
            context.tool_input.update({name: given[name] if name in same else value for name, value in said.arguments.items()})
        return None

    def _asks(self, context: Any) -> dict[str, Any] | None:
        """How people are asked about a call: who, and until when; none where it is made without them."""
        found = self._rules.get(sanitize_tool_name(context.tool_name)) or self._rules.get("*")
        if found is None:
            return None
        name, rule = found
        how: bool | Mapping[str, Any] | None = True
        if rule is not None:
            try:
                how = rule(name, dict(context.tool_input))
            except Exception as error:
                # Nothing is let through because a rule is wrong.
                self._run.log(f"whether people allow {name} could not be told, so they are asked: {type(error).__name__}: {error}", "warn")
        if not how:
            return None
        given = dict(how) if isinstance(how, Mapping) else {}
        expires_in = given.pop("expires_in", None)
        return {**given, "expires_at": None if expires_in is None else int((time.time() + expires_in) * 1000)}


def tools_of(owners: Iterable[Any]) -> set[str]:
    """The tools of agents and tasks, by the names that models call them by."""
    tools = [tool for owner in owners for tool in getattr(owner, "tools", None) or []]
    return {sanitize_tool_name(tool.name) for tool in tools if isinstance(getattr(tool, "name", None), str)}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
