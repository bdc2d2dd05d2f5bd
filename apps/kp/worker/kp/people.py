"""Which calls a person decides on: the `approvals` of crew.yaml, as the engine has them."""

from __future__ import annotations

import operator
from typing import Any

from .definition import approvals

TESTS: dict[str, Any] = {"eq": operator.eq, "ne": operator.ne, "in": lambda value, wanted: value in wanted}


class Rules:
    """A crew's rules; the worker asks them before a call is made."""

    def __init__(self, crew: str) -> None:
        self._crew = crew

    def __call__(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """How a person is asked about a call; none where it needs nobody."""
        rule = approvals(self._crew)[tool]
        if "when" in rule and not holds(rule["when"], arguments):
            return None
        expires_in_ms = rule.get("expires_in_ms")
        how = {"roles": rule.get("roles"), "on_expire": rule.get("on_expire")}
        return {**how, "expires_in": None if expires_in_ms is None else expires_in_ms / 1000}


def holds(when: dict[str, Any], arguments: dict[str, Any]) -> bool:
    """Whether a filter is true of a call's arguments."""
    if "all" in when:
        return all(holds(part, arguments) for part in when["all"])
    if "any" in when:
        return any(holds(part, arguments) for part in when["any"])
    if "not" in when:
        return not holds(when["not"], arguments)
    (test, wanted), *more = [(name, value) for name, value in when.items() if name != "field"]
    if more or test not in TESTS:
        raise ValueError(f"the worker knows no test `{test}`: `approvals` may use all, any, not, {', '.join(TESTS)}")
    value: Any = arguments
    for key in when["field"].split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return bool(TESTS[test](value, wanted))


analyze, campaign, outreach, research = Rules("analyze"), Rules("campaign"), Rules("outreach"), Rules("research")
