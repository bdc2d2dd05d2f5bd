"""`Worker`: what a script says to serve its crews and agents."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from . import target
from .link import Gone, Link
from .served import Served, Settings
from .supervisor import Supervisor

log = logging.getLogger("crewline.worker")
F = TypeVar("F", bound=Callable[..., Any])

#: The exit code when the server will not have the worker: starting it again would not help.
GONE = 3
#: What a crew's process needs before it does anything of its own.
CREWAI = ["crewai", "openai", "httpcore", "crewline.adapters.crewai"]
TYPES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}


class Worker:
    """Serves crews and agents to a Crewline server.

    It imports none of what it serves: each run is executed in a process of its own, which finds the crew by its name.
    """

    def __init__(
        self,
        url: str = "",
        *,
        api_key: str | None = None,
        slots: int = 4,
        name: str | None = None,
        labels: list[str] | None = None,
        preload: list[str] | None = None,
        environment: Mapping[str, str] | None = None,
        hot_seconds: float = 30.0,
        drain_seconds: float = 60.0,
    ) -> None:
        """Prepares a worker.

        `slots` is how many runs it executes at once. `name` and the key say which worker it is: give several on one machine names of their own.
        `preload` names modules to import before runs need them, `environment` is set in runs' processes. A run that waits for people holds its
        slot for `hot_seconds`; when the worker is to stop, runs have `drain_seconds` to end before they are given back.
        """
        if slots < 1:
            raise ValueError(f"a worker of {slots} slots executes nothing: give it one or more")
        for name_of, seconds in (("hot_seconds", hot_seconds), ("drain_seconds", drain_seconds)):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"`{name_of}` is {seconds}: give it a number of seconds, from 0 on")
        self.url = url or os.environ.get("CREWLINE_URL", "")
        self._key = api_key or os.environ.get("CREWLINE_API_KEY", "")
        self._served: dict[str, Served] = {}
        self.settings = Settings(
            name=name or socket.gethostname(),
            slots=slots,
            labels=list(labels or []),
            preload=list(preload or []),
            environment=dict(environment or {}),
            hot_seconds=hot_seconds,
            drain_seconds=drain_seconds,
        )

    def crew(
        self,
        name: str,
        crew: str,
        *,
        version: str = "1",
        description: str = "",
        input_schema: dict[str, Any] | None = None,
        approve: list[str] | None = None,
    ) -> None:
        """Serves a CrewAI crew or flow as it stands: `module:attribute` of a `@CrewBase` class, a crew, a flow, or a function that makes one.

        Its inputs are found from its placeholders. Tools named in `approve` (`"*"`: all) are called only when a person allowed the call; with
        `tool=module:function`, when the function, given the tool and its arguments, says so: true, or who is asked and until when (`roles`,
        `expires_in`, `on_expire`). A crew that has no tool of that name is not executed; `tool?` names one that it may lack.
        """
        if not isinstance(crew, str) or ":" not in crew:
            raise TypeError(f'name the crew `{name}` as text, like "my_project.crew:ResearchCrew": a worker does not import what it serves')
        if not set(CREWAI) <= set(self.settings.preload):
            self.settings.preload = [*CREWAI, *self.settings.preload]
        self._serve(Served(name, "crew", crew, version, description, input_schema, list(approve or [])))

    def agent(
        self, name: str, function: str | None = None, *, inputs: Mapping[str, Any] | None = None, version: str = "1", description: str = ""
    ) -> Callable[[F], F]:
        """Serves a function or generator, sync or async, that takes a run: as a decorator, or with `module:function` as text.

        `inputs` names what it wants: each a type of Python (`str`), or a JSON Schema; or a JSON Schema of all of them.
        """
        schema = schema_of(inputs or {})
        if function is not None:
            self._serve(Served(name, "agent", function, version, description, schema))

        def serves(made: F) -> F:
            words = description or (made.__doc__ or "").strip().split("\n\n")[0]
            self._serve(Served(name, "agent", target.reference(made), version, words, schema))
            return made

        return serves

    def _serve(self, served: Served) -> None:
        if served.name in self._served:
            raise ValueError(f"`{served.name}` is served already: give it another name")
        self._served[served.name] = served

    def run(self) -> None:
        """Serves until TERM or an interrupt; then lets its runs end. Exits with why, when the server will not have it."""
        if target.in_run:
            # The script was imported to find an agent in it.
            return
        if not logging.getLogger().handlers:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        try:
            asyncio.run(self.serve())
        except Gone as gone:
            print(f"crewline: {gone}", file=sys.stderr)
            sys.exit(GONE)

    async def serve(self, link: Link | None = None) -> None:
        """The same within an event loop."""
        if target.in_run:
            return
        if not self._served:
            raise Gone("there is nothing to serve: name a crew or an agent first")
        if link is None:
            from .connection import connect

            link = connect(self.url, self._key)
        supervisor = Supervisor(link, list(self._served.values()), self.settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.drain)
        try:
            await supervisor.serve()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            await link.close()


def schema_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of inputs that are named one by one, or as a schema already."""
    if inputs.get("type") == "object":
        return dict(inputs)
    properties = {name: dict(shape) if isinstance(shape, Mapping) else {"type": TYPES[shape]} for name, shape in inputs.items()}
    required = [name for name, shape in properties.items() if "default" not in shape]
    return {"type": "object", "properties": properties, "required": required}
