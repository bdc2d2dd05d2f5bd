"""Values on their way into a run's log."""

from __future__ import annotations

from crewline.worker import values


class Unsayable:
    """What can't be told as text."""

    def __str__(self) -> str:
        raise ValueError("no words")


def test_what_cannot_be_told_as_text_is_told_to_be_that() -> None:
    assert values.json_value({"a": Unsayable(), "b": 1}) == {"a": "<Unsayable that can't be shown: ValueError>", "b": 1}


def test_long_texts_are_cut_unless_they_are_to_be_whole() -> None:
    long = {"a": ["x" * 200_000]}
    assert "bytes more were left out" in values.json_value(long)["a"][0]
    assert values.json_value(long, whole=True) == long
