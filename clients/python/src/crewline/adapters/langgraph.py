"""LangGraph: a compiled graph, executed as a run."""

from __future__ import annotations

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
    spoken: set[str] = set()
    speaking, output = None, ""
    while True:
        interrupts: list[Any] = []
        async for mode, chunk in graph.astream(given, settings, stream_mode=["messages", "updates"]):
            if mode == "messages":
                message, _ = chunk
                if message.type == "AIMessageChunk" and message.content:
                    if message.id != speaking:
                        run.end_text()
                        speaking = message.id
                        spoken.add(message.id)
                    run.text(text_of(message.content))
                continue
            for node, update in chunk.items():
                if node == "__interrupt__":
                    interrupts.extend(update)
                    continue
                for message in messages_of(update):
                    words = tell(run, message, calls)
                    if words and message.id not in spoken:
                        # A model that does not stream says it all at once.
                        run.end_text()
                        run.text(words)
                    output = words or output
        if not interrupts:
            run.end_text()
            return output
        answers = {one.id: await answer(run, one.value) for one in interrupts}
        given = Command(resume=answers)


def messages_of(update: Any) -> list[Any]:
    """The messages that a node has added."""
    found = update.get("messages", []) if isinstance(update, dict) else []
    return found if isinstance(found, list) else [found]


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
