"""The tools that crew.yaml grants, in Python: records through the client, and figures of a page. None of them posts anything anywhere."""

from __future__ import annotations

import json
from typing import Any, Literal

from crewai.tools import BaseTool
from pydantic import BaseModel, Field, create_model

from crewline import Refused

from .definition import Grant, grants
from .measure import analyze
from .records import call


class Get(BaseModel):
    """`record.get`."""

    collection: str = Field(description="Where it is.")
    id: str = Field(description="Which one.")


class List(BaseModel):
    """`record.list`."""

    collection: str = Field(description="Where they are.")
    filter: dict[str, Any] | None = Field(None, description='Which, such as {"field": "status", "eq": "read"}; absent: all.')
    sort: list[dict[str, Any]] | None = Field(None, description='By what, such as [{"field": "title"}].')
    limit: int | None = Field(None, description="How many at most: 1 to 500; absent: 50.")


class Create(BaseModel):
    """`record.create`."""

    collection: str = Field(description="The collection's name.")
    data: dict[str, Any] = Field(description="Its own fields.")


class Update(BaseModel):
    """`record.update`."""

    collection: str = Field(description="The collection's name.")
    id: str = Field(description="Which one.")
    data: dict[str, Any] = Field(description="What changes.")
    revision: int | None = Field(None, description="The row's revision as you have read it: another one is a conflict.")


class Text(BaseModel):
    """`content.analyze`."""

    text: str = Field(description="The page, as Markdown or plain text.", min_length=1, max_length=65_536)


TOOLS: dict[str, tuple[type[BaseModel], str]] = {
    "record.get": (Get, "Reads one record."),
    "record.list": (List, "Lists records, by `id` unless `sort` says otherwise, which is about the order in which they were made."),
    "record.create": (Create, "Makes a record. What its collection's schema refuses is `invalid`, with the path in `data`."),
    "record.update": (Update, "Changes a record: `data` is merged into it by its keys, and null removes one."),
    "content.analyze": (Text, "Measures a page of Markdown or plain text: words, sentences, readability, headings, links, images, keywords."),
}


class Tool(BaseTool):
    """A tool as it is granted to an agent."""

    grant: Grant

    def _run(self, **arguments: Any) -> str:
        given = {name: value for name, value in arguments.items() if value is not None}
        if any(given.get(name) not in values for name, values in self.grant.only.items()):
            raise RuntimeError(f"forbidden: this agent may not call `{self.grant.tool}` with these arguments: the crew's file bounds them")
        if self.grant.tool == "content.analyze":
            return json.dumps(analyze(given["text"]), ensure_ascii=False)
        try:
            return json.dumps(call(self.grant.tool, given), ensure_ascii=False)
        except Refused as refused:
            # The agent reads what is wrong, and may do better.
            raise RuntimeError(str(refused)) from None


def tools(crew: str, agent: str) -> list[BaseTool]:
    """What an agent of a crew may use; of what crew.yaml grants, that which there is in Python."""
    return [made(grant) for grant in grants(crew, agent) if grant.tool in TOOLS]


def made(grant: Grant) -> BaseTool:
    """The tool, whose arguments have no other values than those that are granted."""
    schema, description = TOOLS[grant.tool]
    bound: dict[str, Any] = {name: (Literal[tuple(values)], schema.model_fields[name]) for name, values in grant.only.items()}
    arguments = create_model(schema.__name__, __base__=schema, **bound)
    # What is read may be different by now: nothing is kept from an earlier call.
    return Tool(name=grant.tool, description=description, args_schema=arguments, grant=grant, cache_function=lambda *_: False)
