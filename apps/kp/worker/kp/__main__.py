"""`python -m kp`: serves those of KP's crews whose crew.yaml says `executor: worker`."""

from __future__ import annotations

import logging
import sys

from crewline.worker import Worker

from .definition import approvals, is_for_a_worker

CREWS = {"research": "ResearchCrew", "analyze": "AnalyzeCrew", "outreach": "OutreachCrew", "campaign": "CampaignCrew"}


def main() -> None:
    """Serves them until it is told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    served = [crew for crew in CREWS if is_for_a_worker(crew)]
    if not served:
        sys.exit(f"kp: the engine executes all crews: write `executor: worker` in the crew.yaml of {', '.join(CREWS)}, those that you want here")
    worker = Worker()
    for crew in served:
        worker.crew(crew, f"kp.crew:{CREWS[crew]}", approve=[f"{tool}=kp.people:{crew}" for tool in approvals(crew)])
    worker.run()


if __name__ == "__main__":
    main()
