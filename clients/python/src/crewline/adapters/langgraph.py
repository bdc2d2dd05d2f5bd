"""LangGraph: a compiled graph, executed as a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..worker.run import AsyncRun


async def execute(run: AsyncRun, graph: Any, given: Any, *, config: dict[str, Any] | None = None) -> str:
    """Streams a compiled graph to its end and gives the last message's text.

    Messages are told word by word, tools with arguments and results, tokens by model. An `interrupt()` asks people, and their answer resumes
    the graph; that wants a checkpointer, which may be one in memory.
    """
    from langgraph.types import Command

    settings = {"configurable": {"thread_id": run.id}, **(config or {})}
    calls: dict[str, str] = {}
    speech, output = Speech(run), ""
    while True:
        interrupts: list[Any] = []
        async for mode, chunk in graph.astream(given, settings, stream_mode=["messages", "updates"]):
            if mode == "messages":
                message, made = chunk
                if message.type == "AIMessageChunk" and message.content:
                    speech.hear(message.id, made["langgraph_node"], text_of(message.content))
                continue
            for node, update in chunk.items():
                if node == "__interrupt__":
                    interrupts.extend(update)
                    continue
                speech.end(node)
                for message in messages_of(update):
                    words = tell(run, message, calls)
                    if words and message.id not in speech.heard:
                        # A model that does not stream says it all at once.
                        speech.hear(message.id, node, words)
                        speech.end(node)
                    output = words or output
        speech.end(None)
        if not interrupts:
            return output
        answers = {one.id: await answer(run, one.value) for one in interrupts}
        given = Command(resume=answers)


class Speech:
    """Says one message at a time: the words of others, which are made beside it, wait until it has ended."""

    def __init__(self, run: AsyncRun) -> None:
        self.heard: set[str] = set()
        self._run = run
        self._messages: dict[str, Spoken] = {}

    def hear(self, id: str | None, node: str, words: str) -> None:
        """Takes a message's next words. One without an id is whole."""
        id = id or f"unnamed-{len(self.heard)}"
        self.heard.add(id)
        self._messages.setdefault(id, Spoken(node)).words.append(words)
        self._say()

    def end(self, node: str | None) -> None:
        """What this node has said is whole; or, without one, what all have."""
        for message in self._messages.values():
            message.whole = message.whole or node in (None, message.node)
        self._say()

    def _say(self) -> None:
        while self._messages:
            id, message = next(iter(self._messages.items()))
            self._run.text("".join(message.words))
            message.words.clear()
            if not message.whole:
                return
            self._run.end_text()
            del self._messages[id]


@dataclass
class Spoken:
    """A message that is being said, or waits for that."""

    node: str
    words: list[str] = field(default_factory=list)
    whole: bool = False


def messages_of(update: Any) -> list[Any]:
    """The messages that a node has added, which it may have written in short."""
    from langchain_core.messages import convert_to_messages

    found = update.get("messages") if isinstance(update, dict) else None
    return convert_to_messages(found if isinstance(found, list) else [found]) if found else []


def tell(run: AsyncRun, message: Any, calls: dict[str, str]) -> str:
    """Tells tools and tokens of a message; gives its text."""
    for call in getattr(message, "tool_calls", None) or []:
        calls[call["id"]] = run.tool_started(call["name"], call["args"])
    if message.type == "tool" and message.tool_call_id in calls:
        call = calls.pop(message.tool_call_id)
        if getattr(message, "status", "success") == "error":
            run.tool_failed(call, text_of(message.content))
        else:
            run.tool_finished(call, message.content)
    used = getattr(message, "usage_metadata", None)
    if used:
        run.usage((message.response_metadata or {}).get("model_name") or "unknown", used["input_tokens"], used["output_tokens"])
    return text_of(message.content) if message.type == "ai" else ""


async def answer(run: AsyncRun, asked: Any) -> Any:
    """What a graph that was interrupted hears: the value of the answer."""
    said = await run.ask("interrupt", str(asked)[:200], body=str(asked), schema={})
    return said.value if said == "answer" else str(said)


def text_of(content: Any) -> str:
    """The text of a message's content, which may be in parts."""
    if isinstance(content, str):
        return content
    return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
