"""The client, against the real server: what it promises whatever happens to connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import crewline
from crewline.protocol import RecordList
from proxy import Proxy
from server import PATIENCE, Person, Server

APP = Path(__file__).parent / "app"
ADA = crewline.Password("ada@example.com", "correct horse battery")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of an app whose one crew talks."""
    server = Server("simulated_tokens_per_s=2000", app=APP).start()
    yield server
    server.close()


@pytest_asyncio.fixture
async def ada(server: Server) -> AsyncIterator[crewline.Client]:
    """A user's client."""
    person = await Person.registers(server.url)
    await person.close()
    async with crewline.connect(server.url, ADA) as client:
        yield client


async def is_back(proxy: Proxy) -> None:
    """Waits until a connection goes through."""

    async def back() -> None:
        while not proxy.is_used:
            await asyncio.sleep(0.01)

    await asyncio.wait_for(back(), PATIENCE)


async def started(client: crewline.Client, words: int) -> str:
    """A run that says so many words."""
    run = await client.call("run.start", {"crew": "talk", "inputs": {"words": words}})
    return run["id"]


def text_of(events: list[dict[str, Any]]) -> str:
    """What a run said."""
    return "".join(event["text"] for event in events if event["type"] == "text.delta")


def words(count: int) -> str:
    """What the crew says."""
    return "".join(f"word{n} " for n in range(count)).strip()


async def test_a_run_is_followed_to_its_end(ada: crewline.Client) -> None:
    events = [event async for event in ada.follow_run(await started(ada, 20))]
    assert events[0]["type"] == "run.started"
    assert events[-1]["type"] == "run.finished"
    assert text_of(events).strip() == words(20)  # type: ignore[arg-type]


async def test_events_come_once_and_in_order_through_cuts(server: Server, ada: crewline.Client) -> None:
    proxy = Proxy(server.port)
    # Each connection is cut in mid-stream, a little later than the one before.
    proxy.cut_after = 2_500
    async with crewline.connect(await proxy.start(), ADA) as client:
        run, events, last = await started(client, 1_500), [], 0
        async for offset, some in client.follow_offsets(run):
            assert offset > last
            last = offset
            events += some
    await proxy.close()
    assert text_of(events).strip() == words(1_500)  # type: ignore[arg-type]
    assert proxy.connections > 3, "nothing was cut, which shows nothing"


async def test_a_run_goes_on_through_a_kill_of_the_server(server: Server, ada: crewline.Client) -> None:
    run, events = await started(ada, 800), []
    async for event in ada.follow_run(run):
        events.append(event)
        if len(events) == 30:
            server.kill()
            server.start()
    # What an attempt said that died is void; the last says it all.
    begins = max(place for place, event in enumerate(events) if event["type"] == "run.started")
    assert begins > 0
    finished = next(event for event in events if event["type"] == "run.finished")
    assert finished["status"] == "succeeded"
    assert (finished.get("output") or "").strip() == words(800)


async def test_only_what_is_asked_for_comes(ada: crewline.Client) -> None:
    run = await started(ada, 50)
    types = [event["type"] async for event in ada.follow_run(run, only=["run.finished"])]
    assert types == ["run.finished"]


async def test_a_live_query_is_what_a_fresh_read_gives_through_cuts(server: Server, ada: crewline.Client) -> None:
    proxy = Proxy(server.port)
    query: RecordList = {
        "collection": "items",
        "sort": [{"field": "number", "descending": True}],
        "filter": {"field": "number", "lt": 1_000},
        "limit": 50,
    }
    async with crewline.connect(await proxy.start(), ADA) as client:
        latest: list[Any] = []

        async def watch() -> None:
            async for page in client.live("record.list", dict(query)):
                latest[:] = [page]

        watching = asyncio.ensure_future(watch())
        ids = []
        for rank in range(20):
            note = await ada.call("record.create", {"collection": "items", "data": {"name": f"n{rank}", "part": 1, "number": rank * 7 % 20}})
            ids.append(note["id"])
            if rank % 5 == 3:
                await is_back(proxy)
                proxy.cut()
        await ada.call("record.update", {"collection": "items", "id": ids[3], "data": {"number": 99}})
        await ada.call("record.delete", {"collection": "items", "id": ids[4]})
        proxy.cut()
        await ada.call("record.update", {"collection": "items", "id": ids[5], "data": {"number": 2_000}})
        fresh = await ada.call("record.list", query)

        async def agrees() -> None:
            while not latest or latest[0]["items"] != fresh["items"]:
                assert not watching.done(), watching
                await asyncio.sleep(0.01)

        try:
            await asyncio.wait_for(agrees(), PATIENCE)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    assert proxy.connections > 3
    await proxy.close()


async def test_a_mutation_that_is_sent_again_happens_once(server: Server, ada: crewline.Client) -> None:
    proxy = Proxy(server.port)
    async with crewline.connect(await proxy.start(), ADA) as client:
        creates = [
            asyncio.ensure_future(client.call("record.create", {"collection": "items", "data": {"name": "once", "part": 2, "number": 5_000 + n}}))
            for n in range(30)
        ]
        for _ in range(5):
            await asyncio.sleep(0)
            proxy.cut()
            await asyncio.sleep(0.02)
        rows = await asyncio.wait_for(asyncio.gather(*creates), PATIENCE)
    await proxy.close()
    stored = await ada.call("record.list", {"collection": "items", "filter": {"field": "part", "eq": 2}, "limit": 200})
    assert sorted(row["id"] for row in stored["items"]) == sorted(row["id"] for row in rows)


async def test_the_same_key_gets_the_same_answer(ada: crewline.Client) -> None:
    key = crewline.new_key()
    first = await ada.call("session.create", {"title": "One"}, key=key)
    assert await ada.call("session.create", {"title": "One"}, key=key) == first
    with pytest.raises(crewline.Refused) as refused:
        await ada.call("session.create", {"title": "Another"}, key=key)
    assert refused.value.code == "key_reused"


async def test_what_is_wrong_is_told_where_it_is(ada: crewline.Client) -> None:
    with pytest.raises(crewline.Refused) as refused:
        await ada.call("record.create", {"collection": "items", "data": {"name": 7, "part": 1, "number": 1}})
    assert refused.value.code == "invalid"
    assert refused.value.fields[0]["path"] == "data.name"
    with pytest.raises(crewline.Refused) as refused:
        await ada.request("no.such", {})
    assert refused.value.code == "unknown_operation"
    with pytest.raises(crewline.Refused) as refused:
        async for _ in ada.follow_run("0190a5b4-0000-7000-8000-000000000000"):
            pass
    assert refused.value.code == "not_found"
    with pytest.raises(crewline.Refused) as refused:
        async for _ in ada.live("record.list", {"collection": "none"}):
            pass
    assert refused.value.code == "invalid"


async def test_a_wrong_password_is_refused_at_once(server: Server, ada: crewline.Client) -> None:
    with pytest.raises(crewline.Gone, match="unauthenticated"):
        async with crewline.connect(server.url, crewline.Password("ada@example.com", "not the password")):
            pass


async def test_a_bad_key_ends_the_client_with_a_reason(server: Server) -> None:
    with pytest.raises(crewline.Gone, match="does not take the API key"):
        async with crewline.connect(server.url, "crk_nonsense"):
            pass


async def test_an_address_that_is_none_is_said_to_be() -> None:
    with pytest.raises(crewline.Gone, match="no address of a WebSocket"):
        async with crewline.connect("http://example.com"):
            pass


async def test_whoever_stops_waiting_leaves_nothing_behind(ada: crewline.Client) -> None:
    run = await started(ada, 400)
    following = ada.follow_run(run)
    async for event in following:
        assert event["type"] == "run.started"
        break
    await following.aclose()
    asking = asyncio.ensure_future(ada.call("run.list", {}))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await ada.call("run.get", {"id": run}))["id"] == run
    await ada.call("run.cancel", {"id": run, "mode": "now"})


async def test_tokens_from_elsewhere_are_asked_for_with_a_reason(server: Server, ada: crewline.Client) -> None:
    signed_in = await ada.call("auth.login", {"email": "ada@example.com", "password": "correct horse battery"})
    reasons = []

    async def token(reason: str) -> str:
        reasons.append(reason)
        return "ey.not.good" if reason == "initial" else signed_in["access_token"]

    async with crewline.connect(server.url, crewline.Tokens(token)) as client:
        assert (await client.call("auth.me", {}))["email"] == "ada@example.com"
    assert reasons == ["initial", "rejected"]


async def test_those_who_are_present_see_each_other(server: Server, ada: crewline.Client) -> None:
    session = (await ada.call("session.create", {"title": "Together"}))["id"]
    async with crewline.connect(server.url, ADA) as other, ada.presence(session, {"typing": False}) as mine:

        async def sees(state: dict[str, Any] | None) -> None:
            async for others in mine.changes():
                states = [one["state"] for one in others.values()]
                if states == ([] if state is None else [state]):
                    return

        async with other.presence(session, {"viewing": "runs"}) as theirs:
            await asyncio.wait_for(sees({"viewing": "runs"}), PATIENCE)
            await theirs.update({"typing": True})
            await asyncio.wait_for(sees({"typing": True}), PATIENCE)
        await asyncio.wait_for(sees(None), PATIENCE)


async def test_a_slow_reader_holds_back_what_it_is_sent(ada: crewline.Client) -> None:
    run = await started(ada, 2_000)
    events, slowly = [], ada.follow_run(run)
    async for event in slowly:
        events.append(event)
        # Others go on meanwhile.
        if len(events) % 200 == 0:
            assert (await ada.call("run.get", {"id": run}))["id"] == run
    assert text_of(events).strip() == words(2_000)  # type: ignore[arg-type]


async def test_streams_that_are_left_in_the_middle_hold_nobody_back(ada: crewline.Client) -> None:
    """Each leaves tens of kilobytes unread; all of them together are more than a connection may owe."""
    runs = [await started(ada, 3_000) for _ in range(2)]
    for run in runs:
        async for event in ada.follow_run(run, only=["run.finished"]):
            assert event["type"] == "run.finished"
    for _ in range(60):
        for run in runs:
            async with contextlib.aclosing(ada.follow_run(run)) as events:
                async for event in events:
                    assert event["type"] == "run.started"
                    break
    said = [event async for event in ada.follow_run(runs[0])]
    assert text_of(said).strip() == words(3_000)  # type: ignore[arg-type]
