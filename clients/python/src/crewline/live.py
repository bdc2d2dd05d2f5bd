"""A live query's answer, and what changes make of it."""

from __future__ import annotations

from typing import Any

from . import wire


def folded(value: Any, frame: list[Any]) -> Any:
    """The answer after a frame of it: a snapshot, or changes."""
    if frame[0] == wire.SNAPSHOT:
        return frame[3]
    for change in frame[4]:
        value = changed(value, change)
    return value


def changed(value: Any, change: dict[str, Any]) -> Any:
    """The answer after one change; the answer before is left as it was. A change of a kind that is not known here changes nothing."""
    if "value" in change:
        return change["value"]
    if "put" in change:
        row, before = change["put"], change.get("before")
        rows = [one for one in value["items"] if one["id"] != row["id"]]
        place = next((place for place, one in enumerate(rows) if one["id"] == before), len(rows))
        return {**value, "items": [*rows[:place], row, *rows[place:]]}
    if "remove" in change:
        return {**value, "items": [one for one in value["items"] if one["id"] != change["remove"]]}
    for name in ("next", "total"):
        if name in change:
            rest = {key: kept for key, kept in value.items() if key != name}
            return rest if change[name] is None else {**rest, name: change[name]}
    return value
