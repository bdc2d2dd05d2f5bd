"""`content.analyze` in Python: the same figures of Markdown and plain text as the engine's."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

#: Words that an adult reads in a minute, silently, in English.
WORDS_PER_MINUTE = 238
KEYWORDS, HEADINGS, CHARACTERS = 10, 50, 200
LEVELS = ((90, "very easy"), (80, "easy"), (70, "fairly easy"), (60, "plain English"), (50, "fairly difficult"), (30, "difficult"))
HTML = re.compile(r"<!doctype html|<html|<head|<body|<article|<main|<div|<p>|<p |<h1")
VOWELS = "aeiouyäöüéèáàóòíúâêîôû"
#: Words that say nothing about a page.
SAYING_NOTHING = """
    about above after again against all also and any are aren't because been before being below between both but can can't could did didn't does
    doesn't doing don't down during each even ever every few first for from further get gets had has have having her here hers him his how into
    isn't it's its just less like made make makes many may more most much must nor not now off once one only other our ours out over own same
    she should some still such than that that's the their theirs them then there these they they're this those through too two under until upon
    use used very was wasn't way were what when where which while who whom why will with won't would you you're your yours
"""
STOP_WORDS = frozenset(SAYING_NOTHING.split())


@dataclass
class Page:
    """A page taken apart: blocks of text, each with its level where it is a heading."""

    blocks: list[tuple[str, int | None]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    images: int = 0
    images_without_alt: int = 0


def analyze(text: str) -> dict[str, Any]:
    """Measures a page."""
    if HTML.search(text[:4096].lower()):
        raise ValueError("the worker measures Markdown and plain text, no HTML: store the page's text")
    page = read(text)
    found = [word for block, _ in page.blocks for word in words(block)]
    said = [sentence for block, _ in page.blocks for sentence in sentences(block)]
    count, lines, heard = max(len(found), 1), max(len(said), 1), sum(map(syllables, found))
    ease = tenth(206.835 - 1.015 * (count / lines) - 84.6 * (heard / count))
    whole = (sentence for block, level in page.blocks if level is None for sentence in sentences(block) if is_whole(sentence))
    headings = [{"level": level, "text": block[:CHARACTERS]} for block, level in page.blocks if level is not None]
    title = next((block[:CHARACTERS] for block, level in page.blocks if level == 1), None)
    external = sum(host(link) is not None for link in page.links)
    elsewhere = sum(host(link) is None and ":" in re.split(r"[/?#]", link)[0] for link in page.links)
    return {
        "title": title,
        "meta_description": None,
        "lead": next(whole, None),
        "words": len(found),
        "sentences": len(said),
        "words_per_sentence": tenth(len(found) / lines),
        "reading_minutes": -(-len(found) // WORDS_PER_MINUTE),
        "reading_ease": ease,
        "level": next((name for least, name in LEVELS if ease >= least), "very difficult"),
        "grade": tenth(0.39 * (count / lines) + 11.8 * (heard / count) - 15.59),
        "headings": headings[:HEADINGS],
        # Those to mailto: and the like lead to no page.
        "links": {"internal": len(page.links) - external - elsewhere, "external": external},
        "images": page.images,
        "images_without_alt": page.images_without_alt,
        "keywords": keywords(found),
    }


def read(text: str) -> Page:
    """Takes a page of Markdown apart; plain text is that too."""
    page, paragraph, fenced = Page(), "", False

    def cut() -> None:
        nonlocal paragraph
        if squeezed := " ".join(paragraph.split()):
            page.blocks.append((squeezed, None))
        paragraph = ""

    for line in map(str.strip, text.split("\n")):
        if line.startswith(("```", "~~~")):
            fenced = not fenced
            cut()
        elif fenced:
            # Code is no prose.
            continue
        elif heading := re.match(r"(#{1,6})(?= )(.*)", line):
            cut()
            if squeezed := " ".join(inline(heading[2], page).split()):
                page.blocks.append((squeezed, len(heading[1])))
        else:
            item = re.match(r"(?:- |\* |> |[0-9]+\. )(.*)", line)
            if not line or item:
                cut()
            paragraph += inline(item[1] if item else line, page) + " "
    cut()
    return page


def inline(line: str, page: Page) -> str:
    """A line's words, without its marks; its links and images are noted."""

    def linked(found: re.Match[str]) -> str:
        mark, words, target = found.groups()
        if mark:
            page.images += 1
            page.images_without_alt += not words.strip()
            return ""
        page.links.append((target.split() or [""])[0])
        return words

    return re.sub(r"(!?)\[(.*?)\]\((.*?)\)", linked, line).replace("*", "").replace("`", "")


def words(text: str) -> list[str]:
    """What stands between blanks and has a letter or digit, without the marks around it."""
    return [word for part in text.split() if (word := re.sub(r"^[\W_]+|[\W_]+$", "", part))]


def sentences(block: str) -> list[str]:
    """The sentences of a block. Its end ends one too; a full stop within a number or a name does not."""
    parts = re.split(r"(?<=[.!?…])(?=[\s\"')”\u2019])", block)
    return [part.strip() for part in parts if words(part)]


def is_whole(sentence: str) -> bool:
    """Whether one could quote it."""
    return len(words(sentence)) > 5 and len(sentence) <= CHARACTERS and sentence.endswith((".", "!", "?"))


def syllables(word: str) -> int:
    """About how many a word has: groups of vowels, but for a silent e at the end; at least one."""
    letters = "".join(letter for letter in word.lower() if letter.isalpha())
    groups = len(re.findall(f"[{VOWELS}]+", letters))
    # "make", but not "table" or "see"; "makes" and "asked", but not "boxes" or "wanted".
    silent = re.search(f"[^{VOWELS}]e$|[^{VOWELS}sxzcgh]es$|[^{VOWELS}td]ed$", letters) and not re.search(f"[^{VOWELS}]le$", letters)
    return max(groups - (bool(silent) and groups > 1), 1)


def keywords(found: list[str]) -> list[dict[str, Any]]:
    """The words that stand there most often, at least twice: most often first, then by the alphabet."""
    plain = (word.lower().replace("\u2019", "'").removesuffix("'s") for word in found)
    counts = Counter(word for word in plain if len(word) > 2 and all(c.isalpha() or c in "-'" for c in word) and word not in STOP_WORDS)
    often = sorted(((word, count) for word, count in counts.items() if count > 1), key=lambda one: (-one[1], one[0]))
    return [{"word": word, "count": count} for word, count in often[:KEYWORDS]]


def host(address: str) -> str | None:
    """The host that a whole address names."""
    found = re.match(r"(?:https?:)?//([^/?#]*)", address, re.IGNORECASE)
    return found[1].lower() if found else None


def tenth(number: float) -> float:
    """A number to one digit, halves away from zero."""
    return float(Decimal(number * 10).to_integral_value(ROUND_HALF_UP)) / 10
