"""`crewline`: what the package does from the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from .worker import Worker


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, and does it."""
    parser = argparse.ArgumentParser(prog="crewline", description="Crewline for Python.")
    commands = parser.add_subparsers(dest="command", required=True)
    _worker(commands.add_parser("worker", help="serve crews and agents to a Crewline server"))
    given = parser.parse_args(arguments)
    try:
        worker = Worker(
            given.url,
            api_key=given.api_key,
            slots=given.slots,
            name=given.name,
            labels=given.label,
            preload=given.preload,
            hot_seconds=given.hot_seconds,
            drain_seconds=given.drain_seconds,
        )
        # Of several crews, each has some of the tools.
        approve = given.approve if len(given.crew) == 1 else [may_lack(one) for one in given.approve]
        for one in given.crew:
            name, target = named(one)
            worker.crew(name, target, approve=approve)
        for one in given.agent:
            name, target = named(one)
            worker.agent(name, target)
    except (TypeError, ValueError) as error:
        parser.exit(2, f"crewline: {error}\n")
    worker.run()


def _worker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("crew", nargs="*", metavar="[NAME=]MODULE:CREW", help="a @CrewBase class, a Crew, a Flow, or a function that makes one")
    parser.add_argument("--agent", action="append", default=[], metavar="[NAME=]MODULE:FUNCTION", help="an agent that is a function; may be repeated")
    parser.add_argument("--url", default="", help="the server, like wss://host/ws; else CREWLINE_URL")
    parser.add_argument("--api-key", default=None, help="the worker's key; better in CREWLINE_API_KEY, for a command line can be read by others")
    parser.add_argument("--slots", type=int, default=4, help="how many runs at once (4)")
    parser.add_argument("--name", default=None, help="which worker of its key it is (the machine's name)")
    parser.add_argument("--label", action="append", default=[], help="what crews may ask of their worker, like gpu; may be repeated")
    allow = "a tool of the crews that people allow call by call, or when the function says so; `*`: all"
    parser.add_argument("--approve", action="append", default=[], metavar="TOOL[=MODULE:FUNCTION]", help=allow)
    parser.add_argument("--preload", action="append", default=[], metavar="MODULE", help="a module to import before a run needs it")
    parser.add_argument("--hot-seconds", type=float, default=30.0, help="how long a run holds its slot while it waits for people (30)")
    parser.add_argument("--drain-seconds", type=float, default=60.0, help="how long runs may take to end when the worker is to stop (60)")


def may_lack(approve: str) -> str:
    """A tool that people allow, where the crew has it: `tool?` or `tool?=module:function`."""
    tool, equals, rule = approve.partition("=")
    return f"{tool}?{equals}{rule}"


def named(given: str) -> tuple[str, str]:
    """A name and a target, of `name=module:attribute`; without a name, of the attribute: `ResearchCrew` is `research`."""
    name, equals, target = given.rpartition("=")
    if not equals:
        attribute = target.rpartition(":")[2].rpartition(".")[2]
        short = re.sub(r"(?<=.)(Crew|Flow|_crew|_flow)$", "", attribute)
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", short).lower()
    if ":" not in target:
        raise ValueError(f"`{given}` names no crew: write it like my_project.crew:ResearchCrew")
    return name, target


if __name__ == "__main__":
    main()
