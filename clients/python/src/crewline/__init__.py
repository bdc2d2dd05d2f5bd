"""Crewline: a client of its server, and workers that serve crews to it."""

from __future__ import annotations

from .auth import Key, Password, Tokens
from .client import Client, connect
from .faults import Gone, Refused
from .keys import new_key
from .presence import Presence
from .worker import Worker

__all__ = ["Client", "Gone", "Key", "Password", "Presence", "Refused", "Tokens", "Worker", "connect", "new_key"]
