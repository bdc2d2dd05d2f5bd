"""What stands in `../crews/<crew>/crew.yaml`, which the server's engine reads too: who executes the crew, and which tools its agents have."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CREWS = Path(__file__).parents[2] / "crews"


@dataclass
class Grant:
    """A tool that an agent may use, and the values that its arguments may have; one that is not named may have any."""

    tool: str
    only: dict[str, list[Any]] = field(default_factory=dict)


@cache
def definition(crew: str) -> dict[str, Any]:
    """A crew's `crew.yaml`."""
    read: dict[str, Any] = yaml.safe_load((CREWS / crew / "crew.yaml").read_text(encoding="utf-8"))
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
