"""A model that works KP's tasks off as they are written: its reply is a pure function of the conversation, whoever executes the crew."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator
from typing import Any

from fake_llm import Reply, words

#: Pages that somebody has read already, as a run is given them.
PAGES = [
    {
        "url": "https://plots.example/the-rota",
        "title": "The rota that held",
        "text": "# The rota that held\n\nWe share eight plots and one tap. The rota hangs on the shed, and whoever waters signs it. "
        "Nobody asked for a rota. It began when two people watered the same beans on the same hot day, and a third lost all of hers. "
        "Now the rota is read by everyone who comes in, and the person who signs it looks at all the plots.\n\n"
        "- [Our plan](/plan) is two lines long.\n- The tap is off by **nine**.\n\n"
        "```\nnot prose, whoever measures it\n```\n\n"
        "The table in the shed has the names of those who can come when others can't. That list was the hard part. It took one evening, "
        "some cake, and the patience of Mrs. Okafor\u2019s neighbour, who has seen 3.5 rotas fail.",
    },
    {
        "url": "https://shop.example/sheds",
        "title": "Sheds for less",
        "text": "Revolutionary horticultural accommodation! [Buy](https://a.example/1), [compare](https://b.example/2), "
        "[order](https://c.example/3). ![](shed.png)",
    },
]
#: What the reviewer tries to do to a page.
NOT_GRANTED = {"status": "skipped", "title": "not mine"}
Work = Generator[tuple[str, dict[str, Any]], Any, str]


class Fault(str):
    """What a tool said that did not do it."""


def find_pages(campaign: str, asked: str) -> Work:
    """Stores the pages that the prompt names."""
    found = yield "record.get", {"collection": "campaigns", "id": campaign}
    stored = yield "record.list", {"collection": "pages", "filter": {"field": "campaign_id", "eq": campaign}}
    yield "record.list", {"collection": "workspace_settings"}
    new = [page for page in PAGES if page["url"] in asked and page["url"] not in [row["data"]["url"] for row in stored["items"]]]
    for page in new:
        yield "record.create", {"collection": "pages", "data": {**page, "campaign_id": campaign, "status": "read"}}
    return f"{len(new)} pages stored for {found['data']['name']}, {len(stored['items']) + len(new)} in all."


def analyze_pages(campaign: str, _asked: str) -> Work:
    """Measures, scores, and moves on."""
    of = {"all": [{"field": "campaign_id", "eq": campaign}, {"field": "status", "eq": "read"}]}
    pages = yield "record.list", {"collection": "pages", "filter": of, "sort": [{"field": "title"}]}
    rows = []
    for page in pages["items"]:
        figures = yield "content.analyze", {"text": page["data"]["text"]}
        words = [keyword["word"] for keyword in figures["keywords"]]
        score = 2 * sum(
            [
                figures["words"] >= 80,
                figures["reading_ease"] >= 50,
                figures["words_per_sentence"] <= 20,
                bool(figures["keywords"]) and figures["keywords"][0]["count"] >= 3,
                figures["links"]["external"] <= 2,
            ]
        )
        analysis = {
            "page_id": page["id"],
            "topics": words[:5],
            "tone": "promotional" if figures["links"]["external"] > 2 else "factual",
            "summary": json.dumps(figures, sort_keys=True),
            "openings": [figures["lead"]] if figures["lead"] else [],
            "reading_ease": figures["reading_ease"],
            "quality_score": score,
        }
        yield "record.create", {"collection": "analyses", "data": analysis}
        status = "analysed" if score >= 6 and analysis["tone"] == "factual" else "skipped"
        yield "record.update", {"collection": "pages", "id": page["id"], "data": {"status": status, "words": figures["words"]}}
        rows.append(f"{page['data']['title']}: {score}, {status}")
    return f"{len(rows)} pages analysed. " + "; ".join(rows)


def draft_comments(campaign: str, _asked: str) -> Work:
    """Drafts a comment on each page that has none."""
    found = yield "record.get", {"collection": "campaigns", "id": campaign}
    of = {"all": [{"field": "campaign_id", "eq": campaign}, {"field": "status", "eq": "analysed"}]}
    pages = yield "record.list", {"collection": "pages", "filter": of, "sort": [{"field": "title"}]}
    comments = yield "record.list", {"collection": "comments", "filter": {"field": "campaign_id", "eq": campaign}}
    persona = yield "record.get", {"collection": "personas", "id": found["data"]["persona_id"]}
    commented = [comment["data"]["page_id"] for comment in comments["items"]]
    drafted = []
    for page in pages["items"]:
        if page["id"] in commented:
            continue
        analyses = yield "record.list", {"collection": "analyses", "filter": {"field": "page_id", "in": [page["id"]]}}
        opening = analyses["items"][0]["data"]["openings"][0]
        text = f'"{opening}" made me stop. We tried the same and it held for a summer. What would you decide first today?'
        data = {"page_id": page["id"], "campaign_id": campaign, "persona_id": persona["id"], "text": text, "status": "draft"}
        yield "record.create", {"collection": "comments", "data": data}
        drafted.append(page["data"]["title"])
    return f"{len(drafted)} comments drafted by {persona['data']['name']}: " + "; ".join(drafted)


def review_drafts(campaign: str, _asked: str) -> Work:
    """Scores drafts and moves them on; mends none."""
    of = {"all": [{"field": "campaign_id", "eq": campaign}, {"field": "status", "eq": "draft"}]}
    drafts = yield "record.list", {"collection": "comments", "filter": of, "sort": [{"field": "created_at"}]}
    for draft in drafts["items"]:
        data = {"quality_score": 8, "review": "Quotes its page and ends with a question."}
        scored = yield "record.update", {"collection": "comments", "id": draft["id"], "data": data}
        change = {"collection": "comments", "id": draft["id"], "revision": scored["revision"], "data": {"status": "reviewed"}}
        yield "record.update", change
    # What it may not do it is told: this collection is another agent's.
    refused = yield "record.update", {"collection": "pages", "id": campaign, "data": NOT_GRANTED}
    return f"{len(drafts['items'])} drafts reviewed." + (" Pages are not mine." if isinstance(refused, Fault) else "")


def ask_for_approval(campaign: str, _asked: str) -> Work:
    """Puts each reviewed comment before a person, and stores what they refuse."""
    of = {"all": [{"field": "campaign_id", "eq": campaign}, {"field": "status", "eq": "reviewed"}]}
    waiting = yield "record.list", {"collection": "comments", "filter": of, "sort": [{"field": "created_at"}]}
    said = []
    for comment in waiting["items"]:
        data = {"status": "approved", "text": comment["data"]["text"]}
        change = {"collection": "comments", "id": comment["id"], "revision": comment["revision"], "data": data}
        decided = yield "record.update", change
        if isinstance(decided, Fault):
            why = decided.split("did not allow this call: ")[1].splitlines()[0].rstrip('"}')
            yield "record.update", {"collection": "comments", "id": comment["id"], "data": {"status": "rejected", "decision_note": why}}
            said.append(f"rejected, {why}")
        else:
            said.append(decided["data"]["status"])
    return f"{len(said)} put before a person: " + "; ".join(said)


def report(_campaign: str, _asked: str) -> Work:
    """Needs no tool."""
    return "Nothing has been posted."
    yield


#: How each task's description begins, who does it, and how.
TASKS: dict[str, tuple[str, Callable[[str, str], Work]]] = {
    "Find pages for the campaign": ("Blog researcher", find_pages),
    "Analyse the pages of the campaign": ("Content analyzer", analyze_pages),
    "Draft a comment on each analysed page of the campaign": ("Comment writer", draft_comments),
    "Review the drafts of the campaign": ("Quality reviewer", review_drafts),
    "Put the reviewed comments of the campaign": ("Quality reviewer", ask_for_approval),
    "Report what came of the campaign": ("", report),
}


def plain(tool: str) -> str:
    """A tool's name, however it is written."""
    return re.sub(r"\W", "_", tool)


def task_of(body: dict[str, Any]) -> str:
    """The beginning of the task that a conversation is about."""
    asked = "\n".join(words(message) for message in body["messages"] if message["role"] == "user")
    return next(beginning for beginning in TASKS if beginning in asked)


def delegates(body: dict[str, Any]) -> str | None:
    """The tool by which work is handed over, where it is offered."""
    return next((name for name in offered(body) if "delegate" in name), None)


def offered(body: dict[str, Any]) -> list[str]:
    """The tools of a request, as they are named there."""
    return [tool["function"]["name"] for tool in body.get("tools") or []]


def decide(body: dict[str, Any]) -> Reply:
    """The reply to a request."""
    asked = "\n".join(words(message) for message in body["messages"] if message["role"] == "user")
    beginning = task_of(body)
    found = re.search(beginning + r" ([0-9a-f-]{36})", asked)
    assert found is not None, asked
    role, work = TASKS[beginning]
    results = [words(message) for message in body["messages"] if message["role"] == "tool"]
    hands_over = delegates(body)
    if hands_over is not None and role:
        if results:
            return f"Handed in: {results[0]}", None
        task = f"{beginning} {found[1]}. " + " ".join(page["url"] for page in PAGES if page["url"] in asked)
        return None, [call(len(results), hands_over, {"coworker": role, "task": task.strip(), "context": "Do as you always do."})]
    doing = work(found[1], asked)
    try:
        wants = next(doing)
        for result in results:
            wants = doing.send(read(result))
    except StopIteration as done:
        return done.value, None
    tool = next(name for name in offered(body) if plain(name) == plain(wants[0]))
    return None, [call(len(results), tool, wants[1])]


def call(place: int, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call of a tool."""
    told = json.dumps(arguments)
    id = hashlib.sha256(f"{place} {tool} {told}".encode()).hexdigest()[:8]
    return {"id": f"call_{id}", "type": "function", "function": {"name": tool, "arguments": told}}


def read(result: str) -> Any:
    """What a tool gave."""
    try:
        value = json.loads(result)
    except json.JSONDecodeError:
        return Fault(result)
    return value if isinstance(value, dict) and "error" not in value and "fault" not in value else Fault(result)
