"""KP's crews, executed by the server's engine and by its worker on the same model: what differs is what is meant to."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

import kp_model
from fake_llm import FakeLLM
from server import Person, Server
from workers import WorkerProcess

KP = Path(__file__).parents[4] / "apps" / "kp"
CREWS = ("research", "analyze", "outreach", "campaign")
#: What serves the crews that are for a worker.
SERVES = ["-m", "kp"]
#: What a person said to what they were asked.
ANSWERED = {"research": [], "analyze": [], "outreach": ["approved", "rejected", "rejected"], "campaign": ["approved", "rejected"]}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@dataclass
class Observed:
    """What came of a crew's run."""

    status: str
    output: str
    tasks: list[tuple[str, str, int, str]] = field(default_factory=list)
    """Each task and piece of work in its order: its name, its agent, how deep it is nested, and what it handed in."""
    calls: list[tuple[str, str, str, Any, str]] = field(default_factory=list)
    """Each call in its order: the task's name, the agent, the tool, the arguments, and whether it was made."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """What a person was asked."""
    offered: dict[str, set[str]] = field(default_factory=dict)
    """By task, the tools that who works on it could call."""
    unsayable: list[str] = field(default_factory=list)
    """What the model has called a tool with that its schema has no place for: CrewAI asks models to keep to schemas strictly."""
    requests: Counter[str] = field(default_factory=Counter)
    """By task, how often the model was asked."""
    records: dict[str, list[Any]] = field(default_factory=dict)
    """By collection, what is stored after it."""


class Place:
    """A server with KP, of which this executes all crews, and a person."""

    worker: WorkerProcess | None

    def __init__(self, executor: str, folder: Path, model: FakeLLM, script: list[str] = SERVES, late: bool = False) -> None:
        self.executor, self.model, self.app = executor, model, folder / executor / "kp"
        shutil.copytree(KP, self.app, ignore=shutil.ignore_patterns("__pycache__"))
        for crew in CREWS:
            # What a person changes to have a worker execute it.
            file = self.app / "crews" / crew / "crew.yaml"
            file.write_text(file.read_text().replace("executor: engine", f"executor: {executor}"))
        self.server = Server("model=local/fake-gpt", f"model_urls=local={model.url}", app=self.app)
        #: Whether people answer only when the run was put away.
        self.late = late
        self.script, self.worker = script, None
        self.person: Person

    async def open(self) -> Place:
        """Starts all of it."""
        await asyncio.to_thread(self.server.start)
        self.person = await Person.registers(self.server.url)
        if self.executor == "worker":
            model = {"model": "openai/fake-gpt", "openai_base_url": self.model.url, "openai_api_key": "sk-fake"}
            account = {"crewline_email": "ada@example.com", "crewline_password": "correct horse battery"}
            key, folder = self.server.key(), self.app / "worker"
            self.worker = WorkerProcess(self.server.url, key, script=self.script, folder=folder, **model, **account).start()
            try:
                await self.person.until("worker.list", {}, lambda rows: [row["state"] for row in rows] == ["online"])
            except asyncio.TimeoutError:
                raise AssertionError(f"the worker did not come:\n{self.worker.said}") from None
        return self

    async def close(self) -> None:
        """Ends all of it."""
        if self.worker is not None:
            self.worker.close()
        await self.person.close()
        await asyncio.to_thread(self.server.close)

    async def carries_out(self, crew: str, campaign: str, inputs: dict[str, Any]) -> Observed:
        """Executes a crew, while a person approves the first comment and rejects every other."""
        listed = await self.person.call("record.list", {"collection": "campaigns", "filter": {"field": "name", "eq": campaign}})
        before = len(self.model.requests)
        run = await self.person.start(crew, {"campaign_id": listed["items"][0]["id"], **inputs})
        answering = asyncio.ensure_future(self._answers(run))
        row, log = await self.person.ended(run)
        answering.cancel()
        assert row["status"] == "succeeded", (row, self.worker and self.worker.said)
        names = {event["task"]: event["name"] for event in log if event["type"] == "task.started"}
        started = [event for event in log if event["type"] == "task.started"]
        outputs = {event["task"]: event["output"] for event in log if event["type"] == "task.finished"}
        made = {event["call"]: event["type"] for event in log if event["type"] in ("tool.finished", "tool.failed")}
        called = [event for event in log if event["type"] == "tool.started"]
        seen = Observed(row["status"], same(row["output"]))
        seen.tasks = [(event["name"], event["agent"], event["task"].count("."), same(outputs[event["task"]])) for event in started]
        seen.calls = [
            (names[event["task"]], event["agent"], kp_model.plain(event["tool"]), same(event["input"]), made.get(event["call"], "left"))
            for event in called
        ]
        shown = ("kind", "title", "body", "tool", "arguments", "roles", "on_expire", "status")
        rows = [event["approval"] for event in log if event["type"] == "approval.answered"]
        seen.asked = [{name: same(row.get(name)) for name in shown} for row in rows]
        for asked in seen.asked:
            # CrewAI has other names for tools, without dots.
            asked |= {name: asked[name].replace("record.update", "record_update") for name in ("title", "tool")}
        for request in self.model.requests[before:]:
            task = kp_model.task_of(request) + (", managed" if kp_model.delegates(request) else "")
            seen.requests[task] += 1
            seen.offered.setdefault(task, set()).update(map(kp_model.plain, kp_model.offered(request)))
            seen.unsayable += unsayable(request) if self.executor == "worker" else []
        for collection in ("pages", "analyses", "comments"):
            page = await self.person.call("record.list", {"collection": collection, "limit": 500, "sort": [{"field": "created_at"}, {"field": "id"}]})
            seen.records[collection] = [same(record["data"]) for record in page["items"]]
        return seen

    async def _answers(self, run: str) -> None:
        for number in range(1, 1000):
            row = await self.person.question(run, number)
            if self.late:
                await self._put_away(run, number)
            await self.person.answer(row, "approve") if number == 1 else await self.person.answer(row, "reject", comment="too long for me")

    async def _put_away(self, run: str, times: int) -> None:
        await self.person.log(run, lambda log: sum(event["type"] == "run.waiting" for event in log) >= times)


def unsayable(request: dict[str, Any]) -> list[str]:
    """The arguments that a model which keeps to the schemas could not have given."""
    schemas = {tool["function"]["name"]: partial(tool["function"]["parameters"]) for tool in request.get("tools") or []}
    calls = [call["function"] for message in request["messages"] for call in message.get("tool_calls") or []]
    given = [(call["name"], json.loads(call["arguments"])) for call in calls]
    found = [(tool, said, Draft202012Validator(schemas[tool]).iter_errors(said)) for tool, said in given if said.get("data") != kp_model.NOT_GRANTED]
    return [f"{tool} {said}: {error.message}" for tool, said, errors in found for error in errors]


def partial(schema: Any) -> Any:
    """A schema without what must be there: a model that is held to it says null instead."""
    if isinstance(schema, dict):
        return {name: partial(part) for name, part in schema.items() if name != "required" or not isinstance(part, list)}
    return [partial(part) for part in schema] if isinstance(schema, list) else schema


def same(value: Any) -> Any:
    """A value without what is another on each server: ids and revisions."""
    if isinstance(value, dict):
        return {name: "…" if name == "revision" else same(part) for name, part in value.items()}
    if isinstance(value, list):
        return [same(part) for part in value]
    return UUID.sub("…", value) if isinstance(value, str) else value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, dict[str, Observed]]]:
    """What came of each crew, by who executed it."""
    folder, seen = tmp_path_factory.mktemp("kp"), {}
    for executor in ("engine", "worker"):
        model = FakeLLM(kp_model.decide)
        place = await Place(executor, folder, model).open()
        try:
            seen[executor] = {
                "research": await place.carries_out("research", "Smaller meetings", {"pages": kp_model.PAGES[:1]}),
                "analyze": await place.carries_out("analyze", "Smaller meetings", {}),
                "outreach": await place.carries_out("outreach", "Smaller meetings", {}),
                "campaign": await place.carries_out("campaign", "Shared gardens", {"pages": kp_model.PAGES}),
            }
        finally:
            await place.close()
            model.close()
    yield seen


@pytest.mark.parametrize("crew", CREWS)
async def test_tasks_are_the_same_in_the_same_order_by_the_same_agents_with_the_same_outputs(both: Any, crew: str) -> None:
    assert both["worker"][crew].tasks == both["engine"][crew].tasks
    assert both["worker"][crew].output == both["engine"][crew].output


@pytest.mark.parametrize("crew", CREWS)
async def test_tools_are_called_the_same(both: Any, crew: str) -> None:
    assert both["worker"][crew].calls == both["engine"][crew].calls


@pytest.mark.parametrize("crew", CREWS)
async def test_tools_that_are_offered_are_the_same_but_for_the_web_and_the_manager(both: Any, crew: str) -> None:
    engine, worker = both["engine"][crew].offered, both["worker"][crew].offered
    assert worker.keys() == engine.keys()
    for task, tools in engine.items():
        if task.endswith(", managed"):
            # CrewAI names its own tools, and gives a manager those of the task's agent too.
            own = worker.get(task.removesuffix(", managed"), set()) if "Report" not in task else set()
            assert tools == {"coworker_delegate", "coworker_ask"}
            assert worker[task] == {"delegate_work_to_coworker", "ask_question_to_coworker"} | own
        else:
            assert worker[task] == tools - {"web_search", "web_fetch"}


@pytest.mark.parametrize("crew", CREWS)
async def test_a_model_that_is_held_to_the_schemas_can_say_all_of_it(both: Any, crew: str) -> None:
    assert both["worker"][crew].unsayable == []


@pytest.mark.parametrize("crew", CREWS)
async def test_the_model_is_asked_as_often(both: Any, crew: str) -> None:
    assert both["worker"][crew].requests == both["engine"][crew].requests


@pytest.mark.parametrize("crew", CREWS)
async def test_records_are_the_same(both: Any, crew: str) -> None:
    assert both["worker"][crew].records == both["engine"][crew].records


@pytest.mark.parametrize("crew", CREWS)
async def test_people_are_asked_the_same(both: Any, crew: str) -> None:
    asked = both["worker"][crew].asked
    assert asked == both["engine"][crew].asked
    assert [row["status"] for row in asked] == ANSWERED[crew]


async def test_what_a_person_says_late_counts_as_much(both: Any, tmp_path: Path) -> None:
    # Every question puts the run away, and its answer begins the task anew in another process.
    served = ["outreach=kp.crew:OutreachCrew", "analyze=kp.crew:AnalyzeCrew", "research=kp.crew:ResearchCrew"]
    model = FakeLLM(kp_model.decide)
    script = ["-m", "crewline.cli", "worker", *served, "--approve", "record.update=kp.people:outreach", "--hot-seconds", "0"]
    place = await Place("worker", tmp_path, model, script, late=True).open()
    try:
        await place.carries_out("research", "Smaller meetings", {"pages": kp_model.PAGES[:1]})
        await place.carries_out("analyze", "Smaller meetings", {})
        late = await place.carries_out("outreach", "Smaller meetings", {})
    finally:
        await place.close()
        model.close()
    assert late.asked == both["worker"]["outreach"].asked
    assert late.records == both["worker"]["outreach"].records


async def test_a_worker_that_no_crew_is_for_says_so(tmp_path: Path) -> None:
    shutil.copytree(KP, tmp_path / "kp", ignore=shutil.ignore_patterns("__pycache__"))
    nothing = WorkerProcess("ws://127.0.0.1:1/ws", "crk_none", script=SERVES, folder=tmp_path / "kp" / "worker").start()
    assert await nothing.ended() == 1
    assert "the engine executes all crews: write `executor: worker`" in nothing.said
