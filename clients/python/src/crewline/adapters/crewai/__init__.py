"""CrewAI: a crew or a flow as it stands, executed as a run."""

from __future__ import annotations

from .describe import describe
from .execute import execute

__all__ = ["describe", "execute"]
