"""The real server, as a process, and a person who uses it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from crewline import new_key, wire
from crewline.live import folded
from crewline.session import Session

#: How long anything that must happen may take before a test says that it did not.
PATIENCE = 60.0
FINAL = ("succeeded", "failed", "cancelled")


def binary() -> str:
    """The server to test with."""
    path = os.environ.get("CREWLINE_BIN", "")
    if not Path(path).is_file():
        raise RuntimeError("these tests run a real server: set CREWLINE_BIN to a `crewline` that was built (cargo build)")
    return path


class Server:
    """`crewline serve`, on data that outlive its processes."""

    def __init__(self, *settings: str, app: Path | None = None) -> None:
        self._app = app
        self._folder = tempfile.TemporaryDirectory(prefix="crewline-test-")
        self._settings = ["sign_in_rate=1000000", "write_rate=1000000", *settings]
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def start(self) -> Server:
        """Starts it, again on the same port, and returns when it listens."""
        arguments = [binary(), "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self._folder.name]
        arguments += ["--app", str(self._app)] if self._app else []
        arguments += [part for setting in self._settings for part in ("--set", setting)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CREWLINE_")}
        self._process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, env=environment
        )
        listens = threading.Event()

        def read(process: subprocess.Popen[str]) -> None:
            assert process.stdout is not None
            for line in process.stdout:
                self._said.append(line)
                found = re.search(r"listening on ws://127\.0\.0\.1:(\d+)/ws", line)
                if found:
                    self.port = int(found[1])
                    listens.set()
            listens.set()

        threading.Thread(target=read, args=(self._process,), daemon=True).start()
        assert listens.wait(PATIENCE) and self._process.poll() is None, "the server did not start:\n" + "".join(self._said)
        return self

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def key(self, name: str = "worker") -> str:
        """A new API key of a worker."""
        arguments = [binary(), "key", "add", name, "--data", self._folder.name]
        made = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def close(self) -> None:
        """Stops it, and removes its data."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()


class Person:
    """A person with a workspace of their own, on a connection."""

    def __init__(self, session: Session, principal: dict[str, Any], tokens: dict[str, Any]) -> None:
        self.session = session
        self.principal = principal
        self.tokens = tokens
        self._listening = asyncio.ensure_future(session.listen())

    @classmethod
    async def registers(cls, url: str, email: str = "ada@example.com") -> Person:
        """Registers."""
        session = await _open(url, None)
        listening = asyncio.ensure_future(session.listen())
        body = {"email": email, "password": "correct horse battery", "name": "Ada"}
        tokens = await session.request("auth.register", body)
        person = cls.__new__(cls)
        person.session, person.principal, person.tokens, person._listening = session, tokens["principal"], tokens, listening
        return person

    async def again(self, url: str) -> None:
        """Connects anew, after the server was started again."""
        self._listening.cancel()
        self.session = await _open(url, self.tokens["access_token"])
        self._listening = asyncio.ensure_future(self.session.listen())

    async def close(self) -> None:
        """Leaves."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def call(self, op: str, body: dict[str, Any]) -> Any:
        """Asks for an operation."""
        return await asyncio.wait_for(self.session.request(op, body, {"key": new_key()}), PATIENCE)

    async def start(self, crew: str, inputs: dict[str, Any] | None = None, **more: Any) -> str:
        """Starts a run; gives its id."""
        run = await self.call("run.start", {"crew": crew, "inputs": inputs or {}, **more})
        return str(run["id"])

    async def run(self, id: str) -> dict[str, Any]:
        """The run's row."""
        row: dict[str, Any] = await self.call("run.get", {"id": id})
        return row

    async def log(self, id: str, until: Callable[[list[dict[str, Any]]], bool] | None = None) -> list[dict[str, Any]]:
        """The run's events: all until its end, or until this holds of them."""
        happened: list[dict[str, Any]] = []

        async def read() -> None:
            async for events in self.follow(id):
                happened.extend(events)
                if until is not None and until(happened):
                    return

        try:
            await asyncio.wait_for(read(), PATIENCE)
        except asyncio.TimeoutError:
            raise AssertionError(f"it did not happen; the log ends with {happened[-5:]}") from None
        return happened

    async def follow(self, id: str) -> AsyncIterator[list[dict[str, Any]]]:
        """The run's events, in order and without a gap, which is checked."""
        following = await self.session.subscribe({"run": id}, {"from": 0})
        at = 0
        try:
            while True:
                frame = await self.session.next_frame(following)
                if frame[0] == wire.EVENTS:
                    assert frame[2] - frame[3] == at, "a gap"
                    at = frame[2]
                    yield frame[4]
                elif frame[0] == wire.ENDED:
                    assert frame[3]["why"] == "complete", frame
                    return
        finally:
            await self.session.unsubscribe(following)

    async def ended(self, id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Waits for the run's end; its row and its events."""
        log = await self.log(id)
        return await self.run(id), log

    async def question(self, id: str, number: int = 1) -> dict[str, Any]:
        """Waits until the run has asked so many questions; the last of them."""
        log = await self.log(id, lambda log: sum(event["type"] == "approval.requested" for event in log) >= number)
        asked = [event["approval"] for event in log if event["type"] == "approval.requested"]
        row: dict[str, Any] = asked[number - 1]
        return row

    async def answer(self, row: dict[str, Any], verdict: str, **more: Any) -> None:
        """Answers a question."""
        await self.call("approval.answer", {"id": row["id"], "verdict": verdict, **more})

    async def until(self, op: str, body: dict[str, Any], holds: Callable[[Any], bool]) -> Any:
        """Follows a list until this holds of it; its items then."""
        following = await self.session.subscribe({"query": {"op": op, "input": body}}, {})

        async def read() -> Any:
            value: Any = None
            while True:
                frame = await self.session.next_frame(following)
                if frame[0] in (wire.SNAPSHOT, wire.EVENTS):
                    value = folded(value, frame)
                elif frame[0] == wire.ENDED:
                    raise AssertionError(f"{op} ended: {frame[3]}")
                else:
                    continue
                if holds(value["items"]):
                    return value["items"]

        try:
            return await asyncio.wait_for(read(), PATIENCE)
        finally:
            await self.session.unsubscribe(following)


async def _open(url: str, token: str | None) -> Session:
    socket = await connect(url, subprotocols=[wire.SUBPROTOCOL], compression=None, max_size=2 << 20, ping_interval=None)  # type: ignore[list-item]
    client = {"name": "test", "version": "0"}
    await socket.send(wire.encode(wire.HELLO, {"client": client, **({"access_token": token} if token else {})}))
    message = await socket.recv()
    assert isinstance(message, bytes)
    frame = next(wire.frames(message))[0]
    assert frame[0] == wire.WELCOME, frame
    return Session(socket, frame[1])
