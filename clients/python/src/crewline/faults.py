"""What goes wrong: what the server refuses, and a connection that has ended for good."""

from __future__ import annotations

from typing import Any


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


class Gone(Exception):
    """The connection has ended for good; the message says why and what to do."""


class Lost(Exception):
    """The connection was lost; what was asked may have happened or not. Asking again with the same key tells."""
