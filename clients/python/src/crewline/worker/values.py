"""Values on their way into a run's log: whatever a framework hands over becomes what the protocol can carry, and fits its limits."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

#: The longest text that one event carries: an event is at most 256 KiB.
TEXT_BYTES = 128 << 10
#: What a run's output may have: more is cut.
OUTPUT_BYTES = 32_000
#: How deep a value may be nested; the protocol allows 32 with the frame around it.
DEPTH = 24
#: Integers beyond this are no integers to a browser.
INTEGER = 2**53 - 1


def text(value: object, limit: int = TEXT_BYTES) -> str:
    """A text without what the protocol forbids (U+0000, lone surrogates), cut at `limit` bytes with a note that says so."""
    words = value if isinstance(value, str) else _said(value, str)
    if "\0" in words:
        words = words.replace("\0", "\\x00")
    data = words.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode()
    return data[:limit].decode("utf-8", "ignore") + f"\n… [{len(data) - limit} bytes more were left out]"


def _said(value: object, say: Callable[[object], str]) -> str:
    try:
        return say(value)
    except Exception as error:
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"


def json_value(value: Any, depth: int = DEPTH, *, whole: bool = False) -> Any:
    """A value as JSON knows it. What is none, nested too deep or not finite is told as text. Long texts are cut, unless `whole`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -INTEGER <= value <= INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return text(value, sys.maxsize if whole else TEXT_BYTES)
    if depth == 0:
        return text(_said(value, repr), sys.maxsize if whole else 1024)
    if isinstance(value, Mapping):
        return {text(key, sys.maxsize if whole else 1024): json_value(item, depth - 1, whole=whole) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_value(item, depth - 1, whole=whole) for item in value]
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return json_value(dump(mode="json"), depth - 1, whole=whole)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return json_value(dataclasses.asdict(value), depth - 1, whole=whole)
    return text(value, sys.maxsize if whole else TEXT_BYTES)


def bounded(value: Any) -> Any:
    """A JSON value that fits an event: one that is too large is told as text, cut."""
    clean = json_value(value)
    told = clean if isinstance(clean, str) else repr(clean)
    return clean if len(told) <= TEXT_BYTES // 2 else text(told, TEXT_BYTES // 2)
