"""The window of events that the server has not said it has."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from crewline import wire
from crewline.worker import events
from crewline.worker.window import BATCH_EVENTS, EVENTS, Window

pytestmark = pytest.mark.asyncio


def line(number: int) -> dict[str, Any]:
    return {"type": "log.written", "at": 0, "level": "info", "message": str(number)}


async def settled() -> None:
    """Lets everything that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_adds_more_than_there_is_room_for_waits_until_the_server_has_some() -> None:
    window = Window(asyncio.Event())
    for number in range(EVENTS):
        await window.add(line(number))
    adding = asyncio.ensure_future(window.add(line(EVENTS)))
    await settled()
    assert not adding.done()
    await window.acknowledge(1)
    await adding
    assert window.last == EVENTS + 1


async def test_who_is_about_to_end_is_not_held_back() -> None:
    window = Window(asyncio.Event())
    for number in range(EVENTS):
        await window.add(line(number))
    adding = asyncio.ensure_future(window.add(line(EVENTS)))
    await settled()
    await window.lift()
    await adding


async def test_words_of_a_part_that_wait_are_joined_and_those_on_their_way_are_not_touched() -> None:
    window = Window(asyncio.Event())
    await window.add(events.text_delta("part-1", "a"))
    await window.add(events.text_delta("part-1", "b"))
    first = window.batch()
    assert first is not None and first[0] == 1 and [event["text"] for event in first[1]] == ["ab"]
    await window.add(events.text_delta("part-1", "c"))
    await window.add(events.text_delta("part-2", "d"))
    second = window.batch()
    assert second is not None and second[0] == 2 and [event["text"] for event in second[1]] == ["c", "d"]
    assert window.batch() is None


async def test_events_that_hold_many_values_are_sent_in_smaller_batches() -> None:
    window = Window(asyncio.Event())
    for number in range(20):
        await window.add({**line(number), "fields": {str(name): name for name in range(500)}})
    sent = []
    while (batch := window.batch()) is not None:
        assert wire.encode_within(1 << 20, wire.REQUEST, 1, "run.append", {"events": batch[1]})
        sent += batch[1]
    assert [event["message"] for event in sent] == [str(number) for number in range(20)]


@pytest.mark.parametrize("seed", range(50))
async def test_whatever_is_lost_on_the_way_the_server_gets_each_event_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)
    window = Window(asyncio.Event())
    stored: list[dict[str, Any]] = []
    count = 3 * BATCH_EVENTS

    async def adds() -> None:
        for number in range(count):
            await window.add(line(number))

    adding = asyncio.ensure_future(adds())
    while len(stored) < count:
        await settled()
        batch = window.batch()
        if batch is None:
            continue
        seq, sent = batch
        reached, told = chance.random() < 0.7, chance.random() < 0.7
        if reached:
            # The server skips what it has, as `run.append` says.
            assert seq <= len(stored) + 1
            stored.extend(sent[len(stored) + 1 - seq :])
        if reached and told:
            await window.acknowledge(len(stored))
        else:
            # The connection was cut; the next one says what is stored.
            await window.rewind(len(stored))
    await adding
    assert [event["message"] for event in stored] == [str(number) for number in range(count)]
