"""The server as KP's tools reach it: on a connection of their own, as the account that the environment names."""

from __future__ import annotations

import asyncio
import os
import threading
from functools import cache
from typing import Any

from crewline import Client, Key, Password, connect


def call(operation: str, arguments: dict[str, Any]) -> Any:
    """Asks for an operation, from any thread, and waits for the answer."""
    loop, client = _connection()
    return asyncio.run_coroutine_threadsafe(client.request(operation, arguments), loop).result()


@cache
def _connection() -> tuple[asyncio.AbstractEventLoop, Client]:
    """One for the process: a run has its own, and leaves it when it ends."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="kp records").start()

    async def made() -> Client:
        return connect(os.environ["CREWLINE_URL"], account())

    return loop, asyncio.run_coroutine_threadsafe(made(), loop).result()


def account() -> Key | Password:
    """Who the tools are: a worker's own key may touch no record."""
    if token := os.environ.get("CREWLINE_TOKEN"):
        return Key(token)
    email, password = os.environ.get("CREWLINE_EMAIL"), os.environ.get("CREWLINE_PASSWORD")
    if not email or not password:
        raise RuntimeError("KP's tools need an account: set CREWLINE_EMAIL and CREWLINE_PASSWORD, or CREWLINE_TOKEN, for the worker")
    return Password(email, password, os.environ.get("CREWLINE_WORKSPACE"))
