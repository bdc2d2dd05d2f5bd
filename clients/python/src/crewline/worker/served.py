"""What a worker serves, and what it was told beside that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Served:
    """A crew or an agent."""

    name: str
    kind: Literal["crew", "agent"]
    target: str
    """Where a run's process finds it, as `module:attribute`."""
    version: str = "1"
    description: str = ""
    input_schema: dict[str, Any] | None = None
    approve: list[str] = field(default_factory=list)
    """Tools that are called only when a person allowed it."""

    def registered(self) -> dict[str, Any]:
        """As the server is told."""
        return {
            "name": self.name,
            "version": self.version,
            "description": self.description[:4000],
            "input_schema": self.input_schema or {"type": "object"},
        }


@dataclass
class Settings:
    """How a worker works."""

    name: str
    slots: int = 4
    labels: list[str] = field(default_factory=list)
    preload: list[str] = field(default_factory=list)
    """Modules that are imported before a run needs them."""
    environment: dict[str, str] = field(default_factory=dict)
    hot_seconds: float = 30.0
    """How long a run holds its slot while it waits for people."""
    drain_seconds: float = 60.0
    """How long runs may take to end, when the worker is to stop; after that they are given back."""
