"""What a run has started and left behind, in groups of its own: whose it is then."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Makes this process the parent of what its descendants leave behind, where the system knows such: on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """The processes whose parent this is; none where the system does not tell."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, thread.read_text().split()))
    return found
