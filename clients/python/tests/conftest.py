"""What all tests share stands beside this file: the real server (`server.py`), and a link that fails (`proxy.py`)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
