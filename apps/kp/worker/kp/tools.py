"""The tools that crew.yaml grants, in Python: records through the client, and figures of a page. None of them posts anything anywhere."""

from __future__ import annotations

import json
from typing import Any

from crewai.tools import BaseTool
from pydantic import BaseModel, Field

from crewline import Refused

from .arguments import arguments_of
from .definition import Grant, collections, grants
from .measure import analyze
from .records import call


class Text(BaseModel):
    """`content.analyze`."""

    text: str = Field(description="The page, as Markdown or plain text.", min_length=1, max_length=65_536)


TOOLS = {
    "record.get": "Reads one record.",
    "record.list": "Lists records, by `id` unless `sort` says otherwise, which is about the order in which they were made.",
    "record.create": "Makes a record. What its collection's schema refuses is `invalid`, with the path in `data`.",
    "record.update": "Changes a record: `data` is merged into it by its keys; what is null stays as it is.",
    "content.analyze": "Measures a page of Markdown or plain text: words, sentences, readability, headings, links, images, keywords.",
}


class Tool(BaseTool):
    """A tool as it is granted to an agent."""

    grant: Grant

    def _run(self, **arguments: Any) -> str:
        given = said(arguments)
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
    schema = Text if grant.tool == "content.analyze" else arguments_of(grant.tool, grant.only.get("collection") or collections())
    # What is read may be different by now: nothing is kept from an earlier call.
    return Tool(name=grant.tool, description=TOOLS[grant.tool], args_schema=schema, grant=grant, cache_function=lambda *_: False)


def said(value: Any) -> Any:
    """Arguments without what is null: a model that is held to a schema fills in everything."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict):
        return {name: said(part) for name, part in value.items() if part is not None}
    return [said(part) for part in value] if isinstance(value, list) else value
