"""What the tests of the worker share: the fake model, and processes that have loaded CrewAI."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "crews")]

from crewline.worker.children import Children  # noqa: E402
from crewline.worker.worker import CREWAI  # noqa: E402
from fake_llm import FakeLLM  # noqa: E402
from recorder import Recorder  # noqa: E402


@pytest.fixture(scope="session")
def fake_llm() -> Iterator[FakeLLM]:
    """The fake model's server."""
    server = FakeLLM()
    os.environ["FAKE_LLM_URL"] = server.url
    yield server
    server.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def recorder(fake_llm: FakeLLM) -> AsyncIterator[Recorder]:
    """Executes runs in processes that have loaded CrewAI beforehand."""
    children = Children(CREWAI)
    yield Recorder(children)
    await children.close()
