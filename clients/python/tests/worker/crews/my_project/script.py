"""A worker's script in a package, to be started with `python -m`."""

import os

from crewline.worker import Run, Worker

worker = Worker(os.environ["CREWLINE_URL"], api_key=os.environ.get("SCRIPT_KEY"), name="script")


@worker.agent("hello_of_script", inputs={"name": str})
def hello(run: Run) -> str:
    """Says hello."""
    return f"Hello {run.inputs['name']}"


worker.run()
