"""The worker that the benchmark measures."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

from crewline.worker import Run, Worker

worker = Worker(slots=int(os.environ["SLOTS"]), name="bench")


@worker.agent("words", inputs={"count": int})
def words(run: Run) -> Iterator[str]:
    """So many words, as fast as they go."""
    for _ in range(run.inputs["count"]):
        yield "word "


@worker.agent("logs", inputs={"count": int})
def logs(run: Run) -> None:
    """So many lines of a log, none of which can be joined with another."""
    for number in range(run.inputs["count"]):
        run.log(f"line {number}")


@worker.agent("paced", inputs={"count": int, "per_s": int})
def paced(run: Run) -> Iterator[str]:
    """So many words at a pace, each the moment at which it was said, in nanoseconds."""
    begun = time.monotonic()
    for number in range(run.inputs["count"]):
        time.sleep(max(0.0, begun + number / run.inputs["per_s"] - time.monotonic()))
        yield f"{time.time_ns()} "


@worker.agent("nothing")
def nothing(run: Run) -> None:
    """Nothing: what is left is what a run costs."""


@worker.agent("waits")
def waits(run: Run) -> None:
    """Waits until it is cancelled."""
    threading.Event().wait()


worker.run()
