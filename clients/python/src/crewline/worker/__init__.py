"""Serving crews and agents to a Crewline server, from Python."""

from __future__ import annotations

from . import events
from .link import Gone
from .run import Answer, AsyncRun, Run, RunCancelled, RunFailed, Steer
from .worker import Worker

__all__ = ["Answer", "AsyncRun", "Gone", "Run", "RunCancelled", "RunFailed", "Steer", "Worker", "events"]
