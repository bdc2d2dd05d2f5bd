"""A crew as `crewai create crew` lays one out, on the fake model."""

from __future__ import annotations

import os
from typing import Any

from crewai import LLM, Agent, Crew, Process, Task
from crewai.project import CrewBase, agent, crew, task, tool
from crewai.tools import tool as as_tool

from crewline.worker.run import storage


@as_tool("lookup")
def lookup_tool(query: str) -> str:
    """Look up facts about a query."""
    return f"3 facts for {query}"


def model(name: str = "fake-gpt") -> LLM:
    """The fake model by this name."""
    return LLM(model=f"openai/{name}", base_url=os.environ["FAKE_LLM_URL"], api_key="sk-fake")


@CrewBase
class ResearchCrew:
    """Researches, writes, reviews."""

    agents_config: Any = "config/agents.yaml"
    tasks_config: Any = "config/tasks.yaml"

    @tool
    def lookup(self) -> Any:
        return lookup_tool

    @agent
    def researcher(self) -> Agent:
        return Agent(config=self.agents_config["researcher"], llm=model())

    @agent
    def writer(self) -> Agent:
        return Agent(config=self.agents_config["writer"], llm=model())

    @agent
    def reviewer(self) -> Agent:
        return Agent(config=self.agents_config["reviewer"], llm=model())

    @task
    def research_task(self) -> Task:
        return Task(config=self.tasks_config["research_task"])

    @task
    def write_task(self) -> Task:
        return Task(config=self.tasks_config["write_task"])

    @task
    def review_task(self) -> Task:
        return Task(config=self.tasks_config["review_task"])

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential, verbose=True)


def filed() -> Crew:
    """The same, with a task whose output is a file."""
    os.chdir(storage())
    made: Crew = ResearchCrew().crew()
    made.tasks[1].output_file = "{topic}.md"
    return made


def counted() -> Crew:
    """One that prints how many arguments of calls in the making CrewAI has kept."""
    from crewai.events.event_bus import crewai_event_bus

    def count(_output: Any) -> None:
        kept: Any = crewai_event_bus.runtime_state
        print(sum(getattr(node.event, "tool_call", None) is not None for node in kept.event_record.nodes.values()), "kept")

    made: Crew = ResearchCrew().crew()
    made.tasks[0].callback = count
    return made
