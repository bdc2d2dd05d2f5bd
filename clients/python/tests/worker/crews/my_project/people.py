"""Crews and flows that ask people, hand work on, and do several things at once."""

from __future__ import annotations

import threading
from typing import Any

from crewai import Agent, Crew, Process, Task
from crewai.flow.flow import Flow, and_, listen, router, start
from crewai.flow.human_feedback import human_feedback
from crewai.tools import tool
from pydantic import BaseModel

from .crew import ResearchCrew, model

CALLS: list[str] = []


def reviewed() -> Crew:
    """The research crew, whose report a person looks at."""
    crew: Crew = ResearchCrew().crew()
    crew.tasks[1].human_input = True
    return crew


def alike() -> Crew:
    """Two tasks of one name, of which people look at both answers."""
    agent = Agent(role="Clerk", goal="Write", backstory="Writes.", llm=model())
    tasks = [
        Task(name="write", description=f"@@say {words}@@", expected_output="-", agent=agent, human_input=True, context=[]) for words in ("one", "two")
    ]
    return Crew(agents=[agent], tasks=tasks)


def hierarchical() -> Crew:
    """A manager who hands work to a writer."""
    arguments = '{"task": "Write @@say the handed over report@@", "context": "none", "coworker": "Writer"}'
    writer = Agent(role="Writer\n", goal="Write", backstory="Writes.", llm=model())
    task = Task(
        name="report",
        description=f"Get {{topic}} done. @@say managed@@ @@tool delegate_work_to_coworker {arguments}@@",
        expected_output="A report",
    )
    return Crew(agents=[writer], tasks=[task], process=Process.hierarchical, manager_llm=model())


@tool("send_email")
def send_email(to: str) -> str:
    """Send an e-mail."""
    return f"sent to {to}"


@tool("save")
def save(name: str, content: str) -> str:
    """Keep a text."""
    return f"{name} has {len(content)} characters"


@tool("broken")
def broken(to: str) -> str:
    """A tool that fails."""
    raise ValueError(f"no route to {to}")


@tool("hang")
def hang(to: str) -> str:
    """A tool that never comes back."""
    print("hanging")
    threading.Event().wait()
    return to


def mailing(tool_name: str = "send_email") -> Crew:
    """A crew whose tool is to be allowed."""
    agent = Agent(role="Clerk", goal="Send", backstory="Sends.", llm=model(), tools=[send_email, broken, hang])
    first = Task(name="draft", description="Draft. @@say the draft@@", expected_output="A draft", agent=agent)
    second = Task(
        name="send",
        description=f'Send. @@tool {tool_name} {{"to": "ada@example.com"}}@@ @@say all done@@',
        expected_output="-",
        agent=agent,
        context=[],
    )
    return Crew(agents=[agent], tasks=[first, second])


def saving(characters: int = 150_000) -> Crew:
    """A crew whose tool is given a long text."""
    agent = Agent(role="Clerk", goal="Save", backstory="Saves.", llm=model(), tools=[save])
    call = f'@@tool save {{"name": "a.txt", "content": "{"x" * characters}"}}@@'
    return Crew(agents=[agent], tasks=[Task(name="save", description=f"{call} @@say saved@@", expected_output="-", agent=agent)])


def saving_less() -> Crew:
    """The same, with a text that people can be shown."""
    return saving(80_000)


def never(tool: str, arguments: dict[str, Any]) -> bool:
    """A rule by which nobody is asked."""
    return (tool, arguments) != ("send_email", {"to": "ada@example.com"})


def of_admins(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A rule by which admins have a minute."""
    return {"roles": ["admin"], "expires_in": 60, "on_expire": "fail"}


def of_no_time(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A rule whose answer can't be used."""
    return {"expires_in": "soon"}


def wrong(tool: str, arguments: dict[str, Any]) -> bool:
    """A rule that fails."""
    return bool(arguments["missing"])


def hanging() -> Crew:
    """A crew whose tool never comes back."""
    return mailing("hang")


def failing_tool() -> Crew:
    """A crew whose tool fails."""
    return mailing("broken")


def slow() -> Crew:
    """A crew whose model speaks slowly and long."""
    agent = Agent(role="Speaker", goal="Speak", backstory="Speaks.", llm=model("fake-slow"))
    words = " ".join(f"word{number}" for number in range(2000))
    return Crew(agents=[agent], tasks=[Task(name="speak", description=f"@@say {words}@@", expected_output="Words", agent=agent)])


def two_slow() -> Crew:
    """Two tasks, of which the first takes a while."""
    agent = Agent(role="Speaker", goal="Speak", backstory="Speaks.", llm=model("fake-slow"))
    words = " ".join(f"word{number}" for number in range(30))
    first = Task(name="first", description=f"@@say {words}@@", expected_output="Words", agent=agent)
    second = Task(name="second", description="@@say done@@", expected_output="Words", agent=agent, context=[])
    return Crew(agents=[agent], tasks=[first, second])


def stuck() -> Crew:
    """A crew whose model never answers."""
    agent = Agent(role="Waiter", goal="Wait", backstory="Waits.", llm=model("fake-stuck"))
    return Crew(agents=[agent], tasks=[Task(name="wait", description="Wait.", expected_output="-", agent=agent)])


def side_by_side() -> Crew:
    """Two tasks at once, then one."""
    agents = [Agent(role=f"Agent {name}", goal="Speak", backstory="Speaks.", llm=model()) for name in "ABC"]
    tasks = [
        Task(name=f"task_{name}", description=f"@@say said by {name}@@", expected_output="-", agent=agent, async_execution=name != "C", context=[])
        for name, agent in zip("ABC", agents, strict=True)
    ]
    tasks[2].context = tasks[:2]
    return Crew(agents=agents, tasks=tasks)


def asking_beside() -> Crew:
    """A task that people look at and one that sends, at once, beside one that asks nobody; then one more."""
    agents = [Agent(role=f"Agent {name}", goal="Speak", backstory="Speaks.", llm=model(), tools=[send_email]) for name in "ABC"]
    send = '@@tool send_email {"to": "ada@example.com"}@@ @@say all done@@'
    tasks = [
        Task(name="review", description="@@say draft@@", expected_output="-", agent=agents[0], async_execution=True, human_input=True, context=[]),
        Task(name="send", description=send, expected_output="-", agent=agents[1], async_execution=True, context=[]),
        Task(name="other", description="@@say other@@", expected_output="-", agent=agents[2], context=[]),
    ]
    return Crew(agents=agents, tasks=tasks)


class MailingFlow(Flow):  # type: ignore[type-arg]
    """A flow that makes a crew with tools."""

    @start()
    def send(self) -> str:
        return str(mailing().kickoff().raw)


class Draft(BaseModel):
    """What the flow works on."""

    topic: str = "nothing"
    text: str = ""
    sent: bool = False


class CrewsFlow(Flow[Draft]):
    """Two crews of one kind, which differ in what they are to do, and begin in an order that is told."""

    @start()
    def speak(self) -> str:
        agent = Agent(role="Clerk", goal="Speak", backstory="Speaks.", llm=model())
        said = {}
        for one in self.state.topic.split():
            task = Task(name="speak", description=f"@@say {one}@@", expected_output="-", agent=agent, human_input=True)
            said[one] = str(Crew(agents=[agent], tasks=[task]).kickoff().raw)
        return ", ".join(said[one] for one in sorted(said))


class WritingFlow(Flow[Draft]):
    """Drafts with a crew, and sends."""

    @start()
    def draft(self) -> str:
        agent = Agent(role="Writer\n", goal="Write", backstory="Writes.", llm=model())
        task = Task(name="write", description=f"@@say about {self.state.topic}@@", expected_output="-", agent=agent)
        self.state.text = str(Crew(agents=[agent], tasks=[task]).kickoff().raw)
        return self.state.text

    @listen(draft)
    def send(self, text: str) -> str:
        self.state.sent = True
        return f"sent: {text}"


class PlainFlow(Flow[dict[str, Any]]):
    @start()
    def only(self) -> str:
        return "done"


class ReviewedFlow(Flow[Draft]):
    """A person looks at the draft before it is sent."""

    @start()
    @human_feedback(message="Is the draft good?")
    def draft(self) -> str:
        CALLS.append("draft")
        print("drafting")
        self.state.text = f"about {self.state.topic}"
        return self.state.text

    @listen(draft)
    def send(self, result: Any) -> str:
        return f"sent: {self.state.text}; {result.feedback}"


class TwiceReviewedFlow(Flow[Draft]):
    """Two methods that ask the same of the same."""

    @start()
    @human_feedback(message="Is it good?")
    def first(self) -> str:
        return "ready"

    @listen(first)
    @human_feedback(message="Is it good?")
    def second(self, _: Any) -> str:
        return "ready"

    @listen(second)
    def done(self, _: Any) -> str:
        return ", ".join(result.feedback for result in self.human_feedback_history)


class RedoneFlow(Flow[Draft]):
    """Does it again until nobody has anything to say, and asks with the same words each time."""

    @start("again")
    @human_feedback(message="Publish?")
    def draft(self) -> None:
        self.state.text += "draft "

    @router(draft)
    def decide(self, result: Any) -> str:
        return "again" if result.feedback else "good"

    @listen("good")
    def publish(self) -> str:
        return f"published: {self.state.text}"


class BranchedFlow(Flow[Draft]):
    """Two branches that ask, and what comes of both."""

    @start()
    @human_feedback(message="Is the left good?")
    def left(self) -> Draft:
        print("left is executed")
        return Draft(topic="left")

    @start()
    @human_feedback(message="Is the right good?")
    def right(self) -> Draft:
        print("right is executed")
        return Draft(topic="right")

    @listen(left)
    def after_left(self, result: Any) -> str:
        self.state.text += f"{result.output.topic}: {result.feedback}. "
        return "after left"

    @listen(right)
    def after_right(self, result: Any) -> str:
        self.state.text += f"{result.output.topic}: {result.feedback}. "
        return "after right"

    @listen(and_(after_left, after_right))
    def both(self) -> str:
        return self.state.text


class BusyFlow(Flow[Draft]):
    """One branch asks while the other is in the middle of something."""

    @start()
    @human_feedback(message="Is it good?")
    async def asking(self) -> str:
        return "ready"

    @start()
    def working(self) -> str:
        self.state.text += "begun "
        threading.Event().wait(0.5)
        self.state.text += "done"
        return "worked"

    @listen(and_(asking, working))
    def both(self) -> str:
        return self.state.text


class RoutedFlow(Flow[Draft]):
    """Goes on by what a person answers."""

    @start()
    @human_feedback(message="Publish?", emit=["publish", "drop"], llm=model(), default_outcome="drop")
    def draft(self) -> str:
        return "@@say publish@@"

    @listen("publish")
    def published(self) -> str:
        return "published"

    @listen("drop")
    def dropped(self) -> str:
        return "dropped"


class AskingFlow(Flow[Draft]):
    """Asks for words in the middle of a method."""

    @start()
    def ask_name(self) -> str:
        return f"Hello {self.ask('What is your name?')}"

    @router(ask_name)
    def done(self) -> str:
        return "done"
