"""Frames as every client reads and writes them: the protocol's vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ormsgpack
import pytest

from crewline import wire

VECTORS = json.loads((Path(__file__).parents[3] / "protocol" / "vectors" / "frames.json").read_text())["vectors"]
KINDS = {value for name, value in vars(wire).items() if name.isupper() and isinstance(value, int)}


def told(value: Any) -> Any:
    """A value as the vectors write it."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, dict):
        return {name: told(item) for name, item in value.items()}
    return [told(item) for item in value] if isinstance(value, list) else value


def meant(value: Any) -> Any:
    """The other way."""
    if isinstance(value, dict):
        return bytes.fromhex(value["$bin"]) if set(value) == {"$bin"} else {name: meant(item) for name, item in value.items()}
    return [meant(item) for item in value] if isinstance(value, list) else value


def name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", [one for one in VECTORS if one["from"] == "server" and not one.get("malformed")], ids=name)
def test_what_the_server_sends_is_read(vector: dict[str, Any]) -> None:
    message = bytes.fromhex(vector["hex"])
    read = list(wire.frames(message))
    assert sum(size for _, size in read) == len(message)
    known = [frame for frame, _ in read if frame[0] in KINDS]
    expected = [frame for frame in vector["frames"] if frame[0] in KINDS]
    # Elements after those that a client knows are left out there.
    assert [told(frame)[: len(want)] for frame, want in zip(known, expected, strict=True)] == expected


@pytest.mark.parametrize("vector", [one for one in VECTORS if one["from"] == "server" and one.get("malformed")], ids=name)
def test_what_is_broken_is_not_read(vector: dict[str, Any]) -> None:
    read = []
    with pytest.raises((wire.Malformed, ormsgpack.MsgpackDecodeError)):
        for frame, _ in wire.frames(bytes.fromhex(vector["hex"])):
            read.append(frame)
    assert [told(frame) for frame in read][: len(vector["frames"])] == vector["frames"]


@pytest.mark.parametrize("vector", [one for one in VECTORS if one["from"] == "client" and one.get("canonical")], ids=name)
def test_what_a_client_sends_is_written(vector: dict[str, Any]) -> None:
    assert b"".join(wire.encode(*meant(frame)) for frame in vector["frames"]).hex() == vector["hex"]


def test_a_frame_holds_as_many_values_and_levels_as_a_server_takes() -> None:
    assert wire.encode_within(1 << 20, *[None] * (wire.VALUES - 1))
    with pytest.raises(wire.Unfit):
        wire.encode_within(1 << 20, *[None] * wire.VALUES)
    deepest: list[Any] = []
    for _ in range(wire.DEPTH - 2):
        deepest = [deepest]
    assert wire.encode_within(1 << 20, deepest)
    with pytest.raises(wire.Unfit):
        wire.encode_within(1 << 20, [deepest])
