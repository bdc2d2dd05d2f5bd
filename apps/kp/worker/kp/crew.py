"""KP's crews. Who the agents are and what they do stands in `../crews/<crew>`, in the same files that the server's engine reads."""

# What the files say and what `@CrewBase` adds is not known to a type checker.
# mypy: disable-error-code="call-arg, attr-defined"
from __future__ import annotations

from typing import Any

from crewai import Agent, Crew, Process, Task
from crewai.project import CrewBase, agent, crew, task

from .tools import tools


@CrewBase
class ResearchCrew:
    """Finds pages for a campaign and stores each of them once, as a record."""

    agents_config: Any = "../../crews/research/agents.yaml"
    tasks_config: Any = "../../crews/research/tasks.yaml"

    @agent
    def blog_researcher(self) -> Agent:
        return Agent(config=self.agents_config["blog_researcher"], tools=tools("research", "blog_researcher"))

    @task
    def find_pages(self) -> Task:
        return Task(config=self.tasks_config["find_pages"])

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential, cache=False)


@CrewBase
class AnalyzeCrew:
    """Measures the pages of a campaign that have been read and stores an analysis of each."""

    agents_config: Any = "../../crews/analyze/agents.yaml"
    tasks_config: Any = "../../crews/analyze/tasks.yaml"

    @agent
    def content_analyzer(self) -> Agent:
        return Agent(config=self.agents_config["content_analyzer"], tools=tools("analyze", "content_analyzer"))

    @task
    def analyze_pages(self) -> Task:
        return Task(config=self.tasks_config["analyze_pages"])

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential, cache=False)


@CrewBase
class OutreachCrew:
    """Drafts comments, has a second agent review them, and puts those that are good enough before a person."""

    agents_config: Any = "../../crews/outreach/agents.yaml"
    tasks_config: Any = "../../crews/outreach/tasks.yaml"

    @agent
    def comment_writer(self) -> Agent:
        return Agent(config=self.agents_config["comment_writer"], tools=tools("outreach", "comment_writer"))

    @agent
    def quality_reviewer(self) -> Agent:
        return Agent(config=self.agents_config["quality_reviewer"], tools=tools("outreach", "quality_reviewer"))

    @task
    def draft_comments(self) -> Task:
        return Task(config=self.tasks_config["draft_comments"])

    @task
    def review_drafts(self) -> Task:
        return Task(config=self.tasks_config["review_drafts"])

    @task
    def ask_for_approval(self) -> Task:
        return Task(config=self.tasks_config["ask_for_approval"])

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential, cache=False)


@CrewBase
class CampaignCrew:
    """A manager has four others find pages, analyse them, draft comments and review them."""

    agents_config: Any = "../../crews/campaign/agents.yaml"
    tasks_config: Any = "../../crews/campaign/tasks.yaml"

    def campaign_manager(self) -> Agent:
        # No `@agent`: CrewAI wants its manager beside the agents, not among them.
        return Agent(config=self.agents_config["campaign_manager"], allow_delegation=True)

    @agent
    def blog_researcher(self) -> Agent:
        return Agent(config=self.agents_config["blog_researcher"], tools=tools("campaign", "blog_researcher"))

    @agent
    def content_analyzer(self) -> Agent:
        return Agent(config=self.agents_config["content_analyzer"], tools=tools("campaign", "content_analyzer"))

    @agent
    def comment_writer(self) -> Agent:
        return Agent(config=self.agents_config["comment_writer"], tools=tools("campaign", "comment_writer"))

    @agent
    def quality_reviewer(self) -> Agent:
        return Agent(config=self.agents_config["quality_reviewer"], tools=tools("campaign", "quality_reviewer"))

    @task
    def find_pages(self) -> Task:
        return Task(config=self.tasks_config["find_pages"])

    @task
    def analyze_pages(self) -> Task:
        return Task(config=self.tasks_config["analyze_pages"])

    @task
    def draft_comments(self) -> Task:
        return Task(config=self.tasks_config["draft_comments"])

    @task
    def review_drafts(self) -> Task:
        return Task(config=self.tasks_config["review_drafts"])

    @task
    def ask_for_approval(self) -> Task:
        return Task(config=self.tasks_config["ask_for_approval"])

    @task
    def report(self) -> Task:
        return Task(config=self.tasks_config["report"])

    @crew
    def crew(self) -> Crew:
        manager = self.campaign_manager()
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.hierarchical, manager_agent=manager, cache=False)
