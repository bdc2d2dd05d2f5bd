"""What a worker serves when it is given CrewAI: a crew or a flow made of it, and the inputs that it wants."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

from crewai import Crew
from crewai.flow.flow import Flow

from ...worker.run import RunFailed

#: A placeholder, as CrewAI fills them.
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_\-]*)\}")
ANY_VALUE = {"type": ["string", "number", "boolean", "object", "array"]}


@dataclass
class Made:
    """A crew or a flow, and how its YAML names its agents."""

    made: Any
    names: dict[str, str] = field(default_factory=dict)
    """From a role, with its placeholders and stripped, to the agent's name in `agents.yaml`."""
    doc: str = ""


def make(target: Any) -> Made:
    """Makes a crew or a flow of a `@CrewBase` class, a crew, a flow, or whatever gives one when it is called."""
    if getattr(target, "is_crew_class", False):
        project = target()
        made = make(project.crew())
        config = getattr(project, "agents_config", None)
        if isinstance(config, dict):
            made.names = {str(agent["role"]).strip(): name for name, agent in config.items() if isinstance(agent, dict) and "role" in agent}
        made.doc = _own_doc(target)
        return made
    if isinstance(target, (Crew, Flow)):
        return Made(target, doc=_own_doc(type(target)) if isinstance(target, Flow) else "")
    if callable(target):
        made = make(target())
        made.doc = made.doc or _own_doc(target)
        return made
    what = type(target).__name__
    raise RunFailed("internal", f"the worker was given a {what}; it serves a @CrewBase class, a Crew, a Flow, or a function that returns one")


def _own_doc(what: Any) -> str:
    # `inspect.getdoc` would take what a framework says of its base class.
    return inspect.cleandoc(what.__doc__ or "")


def placeholders(crew: Crew) -> list[str]:
    """The inputs that a crew wants, in the order in which it names them."""
    tasks = [words for task in crew.tasks for words in (task.description, task.expected_output, task.output_file)]
    agents = [words for agent in crew.agents for words in (agent.role, agent.goal, agent.backstory)]
    return list(dict.fromkeys(name for words in [*tasks, *agents] if words for name in PLACEHOLDER.findall(words)))


def input_schema(made: Any) -> dict[str, Any]:
    """The JSON Schema of the inputs: of a crew's placeholders, or of a flow's state."""
    if isinstance(made, Crew):
        names = placeholders(made)
        # Code that runs before the crew may add what is missing.
        required = [] if made.before_kickoff_callbacks else names
        return {"type": "object", "properties": {name: dict(ANY_VALUE) for name in names}, "required": required}
    state = made.state
    schema_of = getattr(type(state), "model_json_schema", None)
    if schema_of is None:
        return {"type": "object"}
    schema: dict[str, Any] = schema_of()
    schema["properties"] = {name: shape for name, shape in schema.get("properties", {}).items() if name != "id"}
    schema["required"] = [name for name in schema.get("required", []) if name != "id"]
    return {name: part for name, part in schema.items() if name in ("type", "properties", "required", "$defs")}


def describe(target: Any) -> dict[str, Any]:
    """What the server is told of a crew."""
    made = make(target)
    doc = made.doc.strip().split("\n\n")[0]
    return {"description": doc, "input_schema": input_schema(made.made)}
