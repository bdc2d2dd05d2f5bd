"""What goes wrong: what the server refuses, and a connection that has ended for good."""

from __future__ import annotations

import random
from typing import Any

#: How often something is asked again that the server could not do just then.
TRIES = 6


class Refused(Exception):
    """The server's fault to a request, or to something that was to be followed: nothing has happened."""

    def __init__(self, fault: dict[str, Any]) -> None:
        super().__init__(f"{fault.get('code', 'internal')}: {fault.get('message', 'the server gave no reason')}")
        self.fault = fault
        """The whole fault, as the protocol has it."""
        self.code: str = fault.get("code", "internal")
        """Its stable code, such as `not_found`."""
        self.reason: str | None = fault.get("reason")
        """Which conflict it is."""
        self.fields: list[dict[str, Any]] = fault.get("fields", [])
        """Where the input is not valid."""
        self.retry: str = fault.get("retry", "never")
        """What would help: `never`, `same_key`, `after`, `sign_in`, `refetch` or `reconnect`."""

    def pause(self, tries: int) -> float | None:
        """Seconds until what was refused may be asked again, as it was; `None`: never, or it was tried often enough.

        What failed for a reason of its own would fail again: `internal`, `timeout`."""
        if tries >= TRIES or (self.retry != "after" and self.code != "unavailable"):
            return None
        return self.backoff(tries)

    def backoff(self, tries: int) -> float:
        """Seconds, with chance in them, so that not all come at once."""
        return float(self.fault.get("retry_after_ms", 0)) / 1000 + random.uniform(0, 0.5 * 2 ** min(tries, TRIES))


class Gone(Exception):
    """The connection has ended for good; the message says why and what to do."""


class Lost(Exception):
    """The connection was lost; what was asked may have happened or not. Asking again with the same key tells."""
