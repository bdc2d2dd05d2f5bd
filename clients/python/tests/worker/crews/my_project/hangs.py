"""A module whose import never ends, and says that it has begun."""

import os
import time
from pathlib import Path

if os.environ.get("HANGS_TOLD"):
    Path(os.environ["HANGS_TOLD"]).touch()
time.sleep(600)
