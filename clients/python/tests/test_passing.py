"""What a client does when a server can't do something just then: against a server that says what the test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import ormsgpack
import pytest
import pytest_asyncio
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosedOK

import crewline
from crewline import Refused, wire

pytestmark = pytest.mark.asyncio

BUSY = {"code": "unavailable", "message": "not now", "retry": "same_key"}
LATER = {"code": "rate_limited", "message": "too fast", "retry": "after", "retry_after_ms": 30}
DEFECT = {"code": "internal", "message": "a defect", "retry": "same_key"}
FULL = {"code": "too_many", "message": "too many subscriptions", "retry": "after", "retry_after_ms": 1}
GOAWAY, FAULT, ENDED, SUBSCRIBED, REPLY, WELCOME, EVENTS = 33, wire.FAULT, wire.ENDED, wire.SUBSCRIBED, wire.REPLY, wire.WELCOME, wire.EVENTS


class Scripted:
    """The server: each of the client's frames is heard, and `answers` says what comes back."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, list[Any]]] = []
        self.answers: Callable[[int, list[Any]], list[list[Any]]] = lambda _connection, _frame: []
        self.connections: list[ServerConnection] = []

    async def send(self, connection: int, *frames: list[Any]) -> None:
        """Says something by itself."""
        await self.connections[connection].send(b"".join(wire.encode(*frame) for frame in frames))

    async def serve(self, socket: ServerConnection) -> None:
        number = len(self.connections)
        self.connections.append(socket)
        async for message in socket:
            assert isinstance(message, bytes)
            # A client of this package sends each frame as a message.
            frame = ormsgpack.unpackb(message)
            if frame[0] == wire.HELLO:
                welcome = {"epoch": "e", "heartbeat_ms": 30_000, "reconnect": {"max_ms": 50}, "limits": {"message_bytes": 5_000, "requests": 3}}
                await self.send(number, [WELCOME, welcome])
            elif frame[0] in (wire.REQUEST, wire.SUBSCRIBE):
                self.heard.append((number, frame))
                for answer in self.answers(number, frame):
                    await self.send(number, answer)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[tuple[Scripted, crewline.Client]]:
    """The server, and a client of it."""
    scripted = Scripted()
    listening: Server
    async with serve(scripted.serve, "127.0.0.1", 0, subprotocols=[wire.SUBPROTOCOL]) as listening:  # type: ignore[list-item]
        port = next(iter(listening.sockets)).getsockname()[1]
        async with crewline.connect(f"ws://127.0.0.1:{port}/ws") as client:
            yield scripted, client


async def test_what_could_not_be_done_just_then_is_asked_again_with_its_key(server: tuple[Scripted, crewline.Client]) -> None:
    scripted, client = server
    faults = [LATER, BUSY]
    scripted.answers = lambda _, frame: [[FAULT, frame[1], faults.pop()] if faults else [REPLY, frame[1], {"id": "run"}]]
    assert await client.request("run.start", {"crew": "talk"}) == {"id": "run"}
    asked = [frame for _, frame in scripted.heard]
    assert len(asked) == 3 and len({frame[4]["key"] for frame in asked}) == 1


async def test_no_more_is_asked_at_once_than_the_server_takes(server: tuple[Scripted, crewline.Client]) -> None:
    scripted, client = server
    asking = asyncio.gather(*(client.request("run.get", {"id": str(number)}) for number in range(8)))
    answered = 0
    while answered < 8:
        while len(scripted.heard) <= answered:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert len(scripted.heard) == min(answered + 3, 8)
        await scripted.send(0, [REPLY, scripted.heard[answered][1][1], {"number": answered}])
        answered += 1
    assert [answer["number"] for answer in await asking] == list(range(8))


async def test_what_failed_for_a_reason_of_its_own_is_told_at_once(server: tuple[Scripted, crewline.Client]) -> None:
    scripted, client = server
    scripted.answers = lambda _, frame: [[FAULT, frame[1], DEFECT]]
    with pytest.raises(Refused) as refused:
        await client.request("run.start", {"crew": "talk"})
    assert (refused.value.code, len(scripted.heard)) == ("internal", 1)


async def test_a_server_that_goes_away_is_left_when_it_has_answered(server: tuple[Scripted, crewline.Client]) -> None:
    scripted, client = server
    first = asyncio.ensure_future(client.request("run.get", {"id": "1"}))
    while not scripted.heard:
        await asyncio.sleep(0.001)
    session = await client._connection.current()
    await scripted.send(0, [GOAWAY, {"why": "shutdown", "reconnect_within_ms": 1, "drain_ms": 60_000}])
    await session.goaway
    scripted.answers = lambda connection, frame: [[REPLY, frame[1], {"by": connection}]]
    second = asyncio.ensure_future(client.request("run.get", {"id": "2"}))
    await asyncio.sleep(0.1)
    assert not first.done() and not second.done() and len(scripted.connections) == 1
    await scripted.send(0, [REPLY, scripted.heard[0][1][1], {"by": 0}])
    assert (await first, await second) == ({"by": 0}, {"by": 1})


async def test_what_is_asked_on_a_connection_that_has_just_closed_waits_for_the_next(server: tuple[Scripted, crewline.Client]) -> None:
    scripted, client = server
    scripted.answers = lambda connection, frame: [[REPLY, frame[1], {"by": connection}]]
    session = await client._connection.current()

    def closed(_: bytes) -> None:
        raise ConnectionClosedOK(None, None)

    session._socket.send = closed  # type: ignore[method-assign, assignment]
    asking = asyncio.ensure_future(client.request("run.get", {"id": "1"}))
    await asyncio.sleep(0)
    await scripted.connections[0].close()
    assert await asking == {"by": 1}


async def test_what_was_open_once_is_opened_again_and_what_never_was_is_not(server: tuple[Scripted, crewline.Client]) -> None:
    scripted, client = server
    ended = [ENDED, 1, 0, {"why": "refused", "fault": FULL}]
    scripted.answers = lambda _, frame: [ended]
    with pytest.raises(Refused) as refused:
        async for _ in client.follow_run("1"):
            pass
    assert refused.value.code == "too_many"

    def answers(_connection: int, frame: list[Any]) -> list[list[Any]]:
        begins = [SUBSCRIBED, frame[1], {"from": frame[3]["from"], "head": 1}]
        opened = len(scripted.heard) - 1
        if opened == 1:
            return [begins, [EVENTS, frame[1], 1, 1, [{"type": "log.written"}]], [ENDED, frame[1], 1, {"why": "server"}]]
        if opened < 4:
            return [[ENDED, frame[1], 1, {"why": "refused", "fault": FULL}]]
        return [begins, [EVENTS, frame[1], 2, 1, [{"type": "run.finished"}]], [ENDED, frame[1], 2, {"why": "complete"}]]

    scripted.answers = answers
    seen = []
    async with contextlib.aclosing(client.follow_run("1")) as events:
        async for event in events:
            seen.append(event["type"])
    assert seen == ["log.written", "run.finished"]
    assert [frame[3]["from"] for _, frame in scripted.heard] == [0, 0, 1, 1, 1]


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"text": "x" * 5_000}, "too_large"),
        ({"many": [None] * 4_990, "more": {str(number): None for number in range(3)}}, "too_large"),
        ({"deep": nested(60)}, "invalid"),
        ({"deep": nested(5_000)}, "invalid"),
        ({"number": 2**70}, "invalid"),
        ({"text": "\ud800"}, "invalid"),
        ({"what": object()}, "invalid"),
        ({"k" * 257: 1}, "invalid"),
    ],
)
async def test_what_the_server_would_close_for_is_refused_alone_and_is_not_sent(
    server: tuple[Scripted, crewline.Client], inputs: dict[str, Any], code: str
) -> None:
    scripted, client = server
    scripted.answers = lambda _, frame: [[REPLY, frame[1], {"id": "run"}]]
    for refused_by in (client.request("run.start", {"crew": "talk", "inputs": inputs}), anext(client.live("run.list", inputs))):
        with pytest.raises(Refused) as refused:
            await refused_by
        assert refused.value.code == code and "was not sent" in str(refused.value)
    assert await client.request("run.start", {"crew": "talk"}) == {"id": "run"}
    assert len(scripted.heard) == 1 and len(scripted.connections) == 1
