"""What a worker needs of its connection to the server, and no more: a client that connects again by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from ..faults import Gone, Refused

__all__ = ["Gone", "Link", "Refused"]


class Link(Protocol):
    """The connection. Calls wait for it while it is away; they raise `Refused` for a fault and `Gone` when it has ended for good."""

    async def connected(self, after: int) -> int:
        """Waits for a connection later than the one with this number; gives its number, from 1."""
        ...

    async def call(self, op: str, body: dict[str, Any], key: str | None = None, *, fits: bool = False) -> Any:
        """Asks for an operation, a mutation with its key. It is sent again after a new connection, with the same key. `fits`: it was looked at
        already whether it is one that may be sent."""
        ...

    def rows(self, op: str, body: dict[str, Any]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """A list that stays true: all of it, whenever it has changed."""
        ...

    def follow(self, run_id: str, after: int, only: list[str] | None) -> AsyncGenerator[tuple[int, list[dict[str, Any]]], None]:
        """A run's events with offsets above `after`, of these types or of all, as they come: each time up to an offset."""
        ...

    async def close(self) -> None:
        """Leaves."""
        ...
