"""What a run's log leaves to whoever goes on with it."""

from __future__ import annotations

from typing import Any

import pytest

from crewline.worker.past import Past


def question(status: str) -> dict[str, Any]:
    """A question whether a tool may be called, as the log has it."""
    return {"id": "q", "kind": "tool", "status": status, "tool": "send", "arguments": {"to": "ada"}}


@pytest.mark.parametrize(
    ("status", "waits", "spent"),
    [("approved", True, False), ("approved", False, True), ("rejected", True, False), ("rejected", False, False)],
)
def test_only_what_was_allowed_and_begun_is_asked_again(status: str, waits: bool, spent: bool) -> None:
    events = [{"type": "approval.requested", "approval": question("pending")}]
    events += [{"type": "run.waiting", "for": "approval"}] if waits else []
    past = Past().take([*events, {"type": "approval.answered", "approval": question(status)}])
    assert past.approvals["q"]["spent"] is spent
