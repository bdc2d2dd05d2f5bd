"""The same agent, with one tool, made with other frameworks."""

from __future__ import annotations

import os
from typing import Any

from crewline.worker import AsyncRun

ASKED = 'Find out. @@tool lookup {"query": "facts"}@@ @@say found it all@@'


def lookup(query: str) -> str:
    """Look up facts about a query."""
    if query == "nothing":
        raise ValueError("there is nothing")
    return f"3 facts for {query}"


async def with_langgraph(run: AsyncRun) -> str:
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    from crewline.adapters import langgraph

    tools = [tool(lookup)]
    model = ChatOpenAI(model="fake-gpt", base_url=os.environ["FAKE_LLM_URL"], api_key="x", streaming=True, stream_usage=True).bind_tools(tools)

    async def call(state: Any, config: RunnableConfig) -> Any:
        # Before Python 3.11 a model streams only when it is handed the config.
        return {"messages": [await model.ainvoke(state["messages"], config)]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", call)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return await langgraph.execute(run, graph.compile(), {"messages": [("user", run.inputs.get("asked", ASKED))]})


async def interrupted(run: AsyncRun) -> str:
    from langchain_core.messages import AIMessage
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.types import interrupt

    from crewline.adapters import langgraph

    async def ask(state: Any) -> Any:
        return {"messages": [AIMessage(content=f"Hello {interrupt('Who are you?')}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    return await langgraph.execute(run, graph.compile(checkpointer=InMemorySaver()), {"messages": []})


async def with_openai_agents(run: AsyncRun) -> str:
    from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, function_tool, set_tracing_disabled
    from openai import AsyncOpenAI

    from crewline.adapters import openai_agents

    set_tracing_disabled(True)
    model = OpenAIChatCompletionsModel("fake-gpt", AsyncOpenAI(base_url=os.environ["FAKE_LLM_URL"], api_key="x"))
    agent = Agent(name="Finder", instructions="Help.", tools=[function_tool(lookup)], model=model, model_settings=ModelSettings(include_usage=True))
    return await openai_agents.execute(run, agent, run.inputs.get("asked", ASKED))


async def with_agno(run: AsyncRun) -> str:
    from agno.agent import Agent
    from agno.models.openai.like import OpenAILike

    from crewline.adapters import agno

    agent = Agent(name="Finder", model=OpenAILike(id="fake-gpt", base_url=os.environ["FAKE_LLM_URL"], api_key="x"), tools=[lookup], telemetry=False)
    return await agno.execute(run, agent, run.inputs.get("asked", ASKED))


async def two_nodes_at_once(run: AsyncRun) -> str:
    from langchain_core.messages import HumanMessage
    from langchain_core.runnables import RunnableConfig
    from langchain_openai import ChatOpenAI
    from langgraph.graph import START, MessagesState, StateGraph

    from crewline.adapters import langgraph

    model = ChatOpenAI(model="fake-slow", base_url=os.environ["FAKE_LLM_URL"], api_key="x", streaming=True)

    def says(words: str) -> Any:
        async def node(_state: Any, config: RunnableConfig) -> Any:
            return {"messages": [await model.ainvoke([HumanMessage(f"@@say {words}@@")], config)]}

        return node

    graph = StateGraph(MessagesState)
    for words in ("one two three four", "five six seven eight"):
        graph.add_node(words[:3], says(words))
        graph.add_edge(START, words[:3])
    return await langgraph.execute(run, graph.compile(), {"messages": [("user", "x")]})


async def messages_in_short(run: AsyncRun) -> str:
    from langgraph.graph import START, MessagesState, StateGraph

    from crewline.adapters import langgraph

    graph = StateGraph(MessagesState)
    graph.add_node("dict", lambda _: {"messages": [{"role": "assistant", "content": "one"}]})
    graph.add_node("pair", lambda _: {"messages": [("ai", " two")]})
    graph.add_node("text", lambda _: {"messages": "said by a person"})
    graph.add_edge(START, "dict")
    graph.add_edge("dict", "pair")
    graph.add_edge("pair", "text")
    return await langgraph.execute(run, graph.compile(), {"messages": []})
