"""Where crews, flows and agents ask people: answered while they wait, and after they were put away."""

from __future__ import annotations

from typing import Any

import pytest

from fake_llm import FakeLLM, words
from recorder import Recorded, Recorder

pytestmark = pytest.mark.asyncio(loop_scope="session")

INPUTS = {"topic": "Rust", "year": 2026}
PEOPLE = "my_project.people:"


def approve(_: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": "approve"}


async def parked(recorder: Recorder, target: str, inputs: dict[str, Any] | None = None, **more: Any) -> Recorded:
    """A run that nobody has answered, put away."""
    recorded = await recorder.run("crew", PEOPLE + target, inputs, **more)
    assert recorded.end == {"status": "parked"}
    return recorded


async def test_a_review_is_answered_while_the_crew_waits(recorder: Recorder) -> None:
    def answers(row: dict[str, Any]) -> dict[str, Any]:
        return {"verdict": "reject", "comment": "make it shorter"} if len(row["body"]) > 12 and "revised" not in row["body"] else approve(row)

    recorded = await recorder.run("crew", PEOPLE + "reviewed", INPUTS, answers=answers, hot_seconds=60)
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert [(row["kind"], row["title"]) for row in recorded.asked] == [("review", 'Is "write_task" done well?')] * 2
    assert recorded.asked[0]["body"] == "Rust streams well"
    assert recorded.asked[1]["body"] == "revised(make it shorter)"
    assert recorded.of("task.finished")[1]["output"] == "revised(make it shorter)"


async def test_a_review_that_is_put_away_hands_in_what_was_approved_without_asking_the_model_again(recorder: Recorder, fake_llm: FakeLLM) -> None:
    recorded = await parked(recorder, "reviewed", INPUTS)
    before = len(fake_llm.requests)
    recorder.answer(recorded, recorded.asked[0], {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "reviewed", INPUTS)
    assert recorded.end == {"status": "succeeded", "output": "The report is fine and ready to ship"}
    assert len(recorded.asked) == 1
    # Only the third task's call: the first is a checkpoint, the second was approved.
    assert len(fake_llm.requests) == before + 1
    assert [event["task"] for event in recorded.of("task.started")] == ["task-1", "task-2", "task-3"]
    assert [(event["task"], event["output"]) for event in recorded.of("task.finished")][1] == ("task-2", "Rust streams well")
    assert recorded.of("progress.reported")[-1]["fraction"] == 1.0
    parts = [event["part"] for event in recorded.of("text.started")]
    assert len(set(parts)) == len(parts)


async def test_words_that_come_after_it_was_put_away_reach_the_agent_with_its_answer(recorder: Recorder, fake_llm: FakeLLM) -> None:
    recorded = await parked(recorder, "reviewed", INPUTS)
    recorder.answer(recorded, recorded.asked[0], {"verdict": "reject", "comment": "name sources"})
    await recorder.go_on(recorded, "crew", PEOPLE + "reviewed", INPUTS)
    assert recorded.end == {"status": "parked"}
    said = [(message["role"], words(message)) for message in fake_llm.requests[-1]["messages"]]
    assert ("assistant", "Rust streams well") in said
    assert "name sources" in said[-1][1]
    assert recorded.asked[1]["body"] == "revised(name sources)"
    recorder.answer(recorded, recorded.asked[1], {"verdict": "approve"})
    before = len(fake_llm.requests)
    await recorder.go_on(recorded, "crew", PEOPLE + "reviewed", INPUTS)
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert len(fake_llm.requests) == before + 1
    assert recorded.of("task.finished")[1]["output"] == "revised(name sources)"


async def test_an_answer_to_one_task_is_none_to_another_of_the_same_name(recorder: Recorder, fake_llm: FakeLLM) -> None:
    recorded = await parked(recorder, "alike")
    recorder.answer(recorded, recorded.asked[0], {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "alike")
    assert [row["body"] for row in recorded.asked] == ["one", "two"]
    recorder.answer(recorded, recorded.asked[1], {"verdict": "reject", "comment": "not this"})
    await recorder.go_on(recorded, "crew", PEOPLE + "alike")
    said = [(message["role"], words(message)) for message in fake_llm.requests[-1]["messages"]]
    assert ("assistant", "two") in said
    assert "not this" in said[-1][1]
    recorder.answer(recorded, recorded.asked[2], {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "alike")
    assert recorded.end == {"status": "succeeded", "output": "revised(not this)"}
    assert [event["output"] for event in recorded.of("task.finished")] == ["one", "revised(not this)"]


async def test_a_tool_is_called_only_when_it_was_allowed_and_with_the_arguments_that_were(recorder: Recorder) -> None:
    def answers(row: dict[str, Any]) -> dict[str, Any]:
        return {"verdict": "approve", "arguments": {"to": "bob@example.com"}}

    recorded = await recorder.run("crew", PEOPLE + "mailing", answers=answers, approve=["send_email"], hot_seconds=60)
    assert recorded.end == {"status": "succeeded", "output": "all done"}
    row = recorded.asked[0]
    assert (row["kind"], row["tool"], row["arguments"]) == ("tool", "send_email", {"to": "ada@example.com"})
    assert recorded.of("tool.finished")[0]["output"] == "sent to bob@example.com"


async def test_a_tool_that_was_not_allowed_is_not_called_and_the_agent_reads_why(recorder: Recorder, fake_llm: FakeLLM) -> None:
    def answers(row: dict[str, Any]) -> dict[str, Any]:
        return {"verdict": "reject", "comment": "not her"}

    recorded = await recorder.run("crew", PEOPLE + "mailing", answers=answers, approve=["*"], hot_seconds=60)
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert not recorded.of("tool.finished")
    fault = recorded.of("tool.failed")[0]["fault"]
    assert (fault["code"], fault["message"]) == ("forbidden", "a person did not allow this call: not her")
    assert any("a person did not allow this call: not her" in words(message) for message in fake_llm.requests[-1]["messages"])


async def test_a_rule_says_which_calls_people_decide_on_and_who_does(recorder: Recorder) -> None:
    async def asked(topic: str) -> list[dict[str, Any]]:
        rule = ["send_email=my_project.people:" + topic]
        recorded = await recorder.run("crew", PEOPLE + "mailing", answers=approve, approve=rule, hot_seconds=60)
        assert recorded.end == {"status": "succeeded", "output": "all done"}
        return recorded.asked

    assert await asked("never") == []
    [row] = await asked("of_admins")
    assert (row["tool"], row["roles"], row["on_expire"]) == ("send_email", ["admin"], "fail")
    assert row["expires_at"] > 0
    # Nothing is let through because a rule is wrong.
    [row] = await asked("wrong")
    assert row["tool"] == "send_email"


async def test_arguments_that_cannot_be_shown_whole_are_not_put_before_people(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", PEOPLE + "saving", answers=approve, approve=["save"], hot_seconds=60)
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert not recorded.asked and not recorded.of("tool.finished")
    fault = recorded.of("tool.failed")[0]["fault"]
    assert fault["code"] == "too_large" and "make them shorter" in fault["message"]


async def test_long_arguments_that_a_person_left_alone_stay_what_they_were(recorder: Recorder) -> None:
    def answers(row: dict[str, Any]) -> dict[str, Any]:
        return {"verdict": "approve", "arguments": {**row["arguments"], "name": "b.txt"}}

    recorded = await recorder.run("crew", PEOPLE + "saving_less", answers=answers, approve=["save"], hot_seconds=60)
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert recorded.asked[0]["arguments"]["content"] == "x" * 80_000
    assert [event["output"] for event in recorded.of("tool.finished")] == ["b.txt has 80000 characters"]


async def test_nothing_is_done_when_people_are_to_allow_a_tool_that_is_not_there(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", PEOPLE + "mailing", answers=approve, approve=["send_emial"], hot_seconds=60)
    assert recorded.end is not None and recorded.end["fault"]["code"] == "invalid"
    assert "`send_emial`" in recorded.end["fault"]["message"] and "`send_email`" in recorded.end["fault"]["message"]
    assert not recorded.of("task.started")


async def test_a_crew_may_lack_a_tool_that_others_have_but_not_one_that_is_nearly_there(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", PEOPLE + "mailing", answers=approve, approve=["publish?", "send_email?"], hot_seconds=60)
    assert recorded.end == {"status": "succeeded", "output": "all done"}
    assert [row["tool"] for row in recorded.asked] == ["send_email"]
    recorded = await recorder.run("crew", PEOPLE + "mailing", answers=approve, approve=["publish?", "send_emial?"], hot_seconds=60)
    assert recorded.end is not None and "`send_emial`" in recorded.end["fault"]["message"]
    assert "publish" not in recorded.end["fault"]["message"]


async def test_a_flow_says_which_tool_that_people_are_to_allow_it_has_not_met(recorder: Recorder) -> None:
    recorded = await recorder.run("crew", PEOPLE + "MailingFlow", answers=approve, approve=["send_email", "hang", "send_emial"], hot_seconds=60)
    assert recorded.end == {"status": "succeeded", "output": "all done"}
    assert [row["tool"] for row in recorded.asked] == ["send_email"]
    [warned] = [line["message"] for line in recorded.of("log.written") if "approve" in line["message"]]
    assert "`send_emial`" in warned and "`hang`" not in warned


async def test_a_call_is_not_made_when_people_cannot_be_asked(recorder: Recorder) -> None:
    rule = ["send_email=my_project.people:of_no_time"]
    recorded = await recorder.run("crew", PEOPLE + "mailing", answers=approve, approve=rule, hot_seconds=60)
    assert recorded.end == {"status": "succeeded", "output": "all done"}
    assert not recorded.asked and not recorded.of("tool.finished")
    assert "people could not be asked" in recorded.of("tool.failed")[0]["fault"]["message"]


async def test_a_tool_that_is_allowed_after_it_was_put_away_is_called_once(recorder: Recorder, fake_llm: FakeLLM) -> None:
    recorded = await parked(recorder, "mailing", approve=["send_email"])
    recorder.answer(recorded, recorded.asked[0], {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "mailing", approve=["send_email"])
    assert recorded.end == {"status": "succeeded", "output": "all done"}
    assert len(recorded.asked) == 1
    assert [event["output"] for event in recorded.of("tool.finished")] == ["sent to ada@example.com"]
    assert [event["task"] for event in recorded.of("task.started")] == ["task-1", "task-2"]


async def test_what_was_approved_is_that_and_nothing_else(recorder: Recorder) -> None:
    recorded = await parked(recorder, "mailing", approve=["send_email"])
    # The model would now send to someone else than was approved.
    other = {**recorded.asked[0], "arguments": {"to": "eve@example.com"}}
    recorder.answer(recorded, other, {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "mailing", approve=["send_email"])
    assert recorded.end == {"status": "parked"}
    assert len(recorded.asked) == 2
    assert not recorded.of("tool.finished")


async def test_tasks_that_run_beside_each_other_are_put_away_too(recorder: Recorder) -> None:
    recorded = await parked(recorder, "asking_beside", approve=["send_email"])
    while recorded.end == {"status": "parked"}:
        waiting = [row for row in recorded.asked if row["id"] not in {event["approval"]["id"] for event in recorded.of("approval.answered")}]
        recorder.answer(recorded, waiting[0], {"verdict": "approve"})
        await recorder.go_on(recorded, "crew", PEOPLE + "asking_beside", approve=["send_email"])
    assert recorded.end == {"status": "succeeded", "output": "other"}
    assert sorted(row["kind"] for row in recorded.asked) == ["review", "tool"]
    assert [event["output"] for event in recorded.of("tool.finished")] == ["sent to ada@example.com"]
    assert sorted((event["task"], event["output"]) for event in recorded.of("task.finished")) == [
        ("task-1", "draft"),
        ("task-2", "all done"),
        ("task-3", "other"),
    ]


async def test_an_approval_that_was_used_allows_nothing_more(recorder: Recorder) -> None:
    recorded = await recorder.run(
        "crew",
        PEOPLE + "hanging",
        answers=approve,
        approve=["hang"],
        hot_seconds=60,
        until=lambda event: event["type"] == "log.written" and event["message"] == "hanging",
        then=lambda child: child.kill(),
    )
    assert recorded.end is None
    await recorder.go_on(recorded, "crew", PEOPLE + "hanging", approve=["hang"])
    assert recorded.end == {"status": "parked"}
    assert len(recorded.asked) == 2


async def test_feedback_on_a_flow_is_given_while_it_waits(recorder: Recorder) -> None:
    def answers(row: dict[str, Any]) -> dict[str, Any]:
        assert (row["kind"], row["title"], row["body"]) == ("review", "Is the draft good?", "about tides")
        return {"verdict": "reject", "comment": "more salt"}

    recorded = await recorder.run("crew", PEOPLE + "ReviewedFlow", {"topic": "tides"}, answers=answers, hot_seconds=60)
    assert recorded.end == {"status": "succeeded", "output": "sent: about tides; more salt"}


async def test_a_flow_that_is_put_away_goes_on_from_where_it_was(recorder: Recorder) -> None:
    recorded = await parked(recorder, "ReviewedFlow", {"topic": "tides"})
    recorder.answer(recorded, recorded.asked[0], {"verdict": "approve", "comment": "lovely"})
    await recorder.go_on(recorded, "crew", PEOPLE + "ReviewedFlow", {"topic": "tides"})
    assert recorded.end == {"status": "succeeded", "output": "sent: about tides; lovely"}
    assert len(recorded.asked) == 1
    assert [line["message"] for line in recorded.of("log.written")].count("drafting") == 1


async def test_methods_that_ask_the_same_have_answers_of_their_own(recorder: Recorder) -> None:
    recorded = await parked(recorder, "TwiceReviewedFlow")
    recorder.answer(recorded, recorded.asked[0], {"verdict": "approve", "comment": "well done"})
    await recorder.go_on(recorded, "crew", PEOPLE + "TwiceReviewedFlow")
    assert recorded.end == {"status": "parked"}
    recorder.answer(recorded, recorded.asked[1], {"verdict": "reject", "comment": "not that one"})
    await recorder.go_on(recorded, "crew", PEOPLE + "TwiceReviewedFlow")
    assert recorded.end == {"status": "succeeded", "output": "well done, not that one"}
    assert [event["name"] for event in recorded.of("task.started")] == ["first", "second", "done"]
    assert [event["task"] for event in recorded.of("task.finished")] == ["task-1", "task-2", "task-3"]


async def test_a_method_that_is_done_again_is_asked_about_again(recorder: Recorder) -> None:
    recorded = await parked(recorder, "RedoneFlow")
    recorder.answer(recorded, recorded.asked[0], {"verdict": "reject", "comment": "no"})
    await recorder.go_on(recorded, "crew", PEOPLE + "RedoneFlow")
    assert recorded.end == {"status": "parked"}
    recorder.answer(recorded, recorded.asked[1], {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "RedoneFlow")
    assert recorded.end == {"status": "succeeded", "output": "published: draft draft "}
    assert len(recorded.asked) == 2


async def test_crews_that_begin_in_another_order_have_the_answers_that_were_given_to_them(recorder: Recorder) -> None:
    recorded = await parked(recorder, "CrewsFlow", {"topic": "one two"})
    recorder.answer(recorded, recorded.asked[0], {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "CrewsFlow", {"topic": "two one"})
    assert [row["body"] for row in recorded.asked] == ["one", "two"]
    recorder.answer(recorded, recorded.asked[1], {"verdict": "reject", "comment": "not this"})
    await recorder.go_on(recorded, "crew", PEOPLE + "CrewsFlow", {"topic": "one two"})
    recorder.answer(recorded, recorded.asked[2], {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "CrewsFlow", {"topic": "two one"})
    assert recorded.end == {"status": "succeeded", "output": "one, revised(not this)"}
    assert len(recorded.asked) == 3


async def test_branches_of_a_flow_wait_for_their_own_answers(recorder: Recorder) -> None:
    # Time enough for both of them to ask.
    recorded = await parked(recorder, "BranchedFlow", hot_seconds=1.0)
    left, right = sorted(recorded.asked, key=lambda row: row["title"])
    assert (left["title"], right["title"]) == ("Is the left good?", "Is the right good?")
    recorder.answer(recorded, left, {"verdict": "approve", "comment": "yes"})
    await recorder.go_on(recorded, "crew", PEOPLE + "BranchedFlow")
    assert recorded.end == {"status": "parked"}
    recorder.answer(recorded, right, {"verdict": "reject", "comment": "no"})
    await recorder.go_on(recorded, "crew", PEOPLE + "BranchedFlow")
    assert recorded.end == {"status": "succeeded", "output": "left: yes. right: no. "}
    printed = [line["message"] for line in recorded.of("log.written")]
    assert [printed.count(f"{side} is executed") for side in ("left", "right")] == [1, 1]
    assert len(recorded.asked) == 2
    assert sorted(event["name"] for event in recorded.of("task.started")) == ["after_left", "after_right", "both", "left", "right"]


async def test_a_flow_is_not_put_away_in_the_middle_of_a_method(recorder: Recorder) -> None:
    recorded = await parked(recorder, "BusyFlow")
    recorder.answer(recorded, recorded.asked[0], {"verdict": "approve"})
    await recorder.go_on(recorded, "crew", PEOPLE + "BusyFlow")
    assert recorded.end == {"status": "succeeded", "output": "begun done"}
    assert sorted(event["name"] for event in recorded.of("task.started")) == ["asking", "both", "working"]


async def test_a_flow_goes_where_a_person_sends_it(recorder: Recorder) -> None:
    def answers(row: dict[str, Any]) -> dict[str, Any]:
        assert row["kind"] == "input" and "publish" in row["schema"]["description"]
        return {"verdict": "answer", "value": "publish it @@say publish@@"}

    recorded = await recorder.run("crew", PEOPLE + "RoutedFlow", answers=answers, hot_seconds=60)
    assert recorded.end == {"status": "succeeded", "output": "published"}


async def test_a_flow_that_was_put_away_goes_where_a_person_sends_it(recorder: Recorder) -> None:
    recorded = await parked(recorder, "RoutedFlow")
    recorder.answer(recorded, recorded.asked[0], {"verdict": "answer", "value": "publish it @@say publish@@"})
    await recorder.go_on(recorded, "crew", PEOPLE + "RoutedFlow")
    assert recorded.end == {"status": "succeeded", "output": "published"}


async def test_a_flow_asks_for_words(recorder: Recorder) -> None:
    def answers(row: dict[str, Any]) -> dict[str, Any]:
        assert (row["kind"], row["title"]) == ("input", "What is your name?")
        return {"verdict": "answer", "value": "Ada"}

    recorded = await recorder.run("crew", PEOPLE + "AskingFlow", answers=answers, hot_seconds=60)
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert recorded.of("task.finished")[0]["output"] == "Hello Ada"


async def test_words_of_people_reach_the_next_model_call(recorder: Recorder, fake_llm: FakeLLM) -> None:
    told: list[bool] = []

    def steer(child: Any) -> None:
        if not told:
            told.append(True)
            child.line.send({"op": "steer", "steer_id": "s1", "text": "mind the gap"})

    recorded = await recorder.run(
        "crew", PEOPLE + "mailing", until=lambda event: event["type"] == "task.started" and event["task"] == "task-1", then=steer
    )
    assert recorded.end is not None and recorded.end["status"] == "succeeded"
    assert [event["steer_id"] for event in recorded.of("steer.applied")] == ["s1"]
    assert any("mind the gap" in words(message) for request in fake_llm.requests[-3:] for message in request["messages"])
