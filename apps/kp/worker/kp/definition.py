"""What stands in the app's files, which the server reads too: who executes a crew, which tools its agents have, and what records hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

APP = Path(__file__).parents[2]


@dataclass
class Grant:
    """A tool that an agent may use, and the values that its arguments may have; one that is not named may have any."""

    tool: str
    only: dict[str, list[Any]] = field(default_factory=dict)


@cache
def definition(crew: str) -> dict[str, Any]:
    """A crew's `crew.yaml`."""
    return _read(f"crews/{crew}/crew.yaml")


def collections() -> list[str]:
    """All collections of the app."""
    return sorted(file.stem for file in (APP / "collections").glob("*.yaml"))


@cache
def properties(collection: str) -> dict[str, dict[str, Any]]:
    """By name, the JSON Schema of what a record's data has."""
    found: dict[str, dict[str, Any]] = _read(f"collections/{collection}.yaml")["schema"]["properties"]
    return found


def _read(path: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((APP / path).read_text(encoding="utf-8"))
    return read


def is_for_a_worker(crew: str) -> bool:
    """Whether it says `executor: worker`."""
    return definition(crew).get("executor") == "worker"


def grants(crew: str, agent: str) -> list[Grant]:
    """What an agent may use."""
    given = definition(crew).get("tools", {}).get(agent, [])
    return [Grant(one) if isinstance(one, str) else Grant(*next(iter(one.items()))) for one in given]


def approvals(crew: str) -> dict[str, dict[str, Any]]:
    """By tool, which of its calls are put before a person first."""
    return {tool: rule or {} for tool, rule in definition(crew).get("approvals", {}).items()}
