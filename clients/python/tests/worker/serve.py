"""A worker's script, as a person would write it; the tests tell it by its environment how to work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from crewline.worker import Run, Worker

worker = Worker(
    slots=int(os.environ.get("SLOTS", "4")),
    name=os.environ["WORKER"],
    environment={"WHO": os.environ["WORKER"]},
    hot_seconds=float(os.environ.get("HOT_SECONDS", "30")),
    drain_seconds=float(os.environ.get("DRAIN_SECONDS", "30")),
)


@worker.agent("in_script", inputs={"name": str})
def in_script(run: Run) -> Iterator[str]:
    """Says hello, from the script itself."""
    yield f"Hello {run.inputs['name']}"


for name in (
    "hello",
    "keeps",
    "keeps_too_much",
    "floods",
    "raises",
    "crashes",
    "binary",
    "ticks",
    "busy",
    "blocked",
    "speaks",
    "refuses",
    "prints_a_lot",
    "too_much",
    "told_to_end",
    "unreadable_output",
    "huge_output",
    "leaves_processes",
):
    worker.agent(name, f"my_project.agents:{name}")
worker.agent("missing", "my_project.fails_to_import:agent")
if os.environ.get("CREWS"):
    worker.crew("py_research", "my_project.crew:ResearchCrew")
    worker.crew("py_reviewed", "my_project.people:reviewed")
    worker.crew("py_mailing", "my_project.people:mailing", approve=["send_email"])
    worker.crew("py_flow", "my_project.people:ReviewedFlow")
    worker.crew("py_two_slow", "my_project.people:two_slow")
    worker.crew("py_slow", "my_project.people:slow")
    worker.crew("py_broken", "my_project.fails_to_import:Crew")

worker.run()

if __name__ == "__main__":
    imported = [name for name in ("crewai", "openai", "my_project") if name in sys.modules]
    sys.exit(f"the supervisor has imported {imported}" if imported else 0)
