"""Serving crews and agents to a Crewline server, from Python."""

from __future__ import annotations

from . import events
from .run import Answer, AsyncRun, Run, RunCancelled, RunFailed, Steer

__all__ = ["Answer", "AsyncRun", "Run", "RunCancelled", "RunFailed", "Steer", "events"]
