"""Where one statement ends and the next begins, in text that people type or pipe."""

import re
from collections.abc import Iterator

from msgspec import Struct

_TOKEN = re.compile(
    r"""
    (?P<semicolon>;)
  | (?P<line>--[^\n]*)
  | (?P<block>/\*)
  | (?P<escaped>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?P<escaped_end>'?))
  | (?P<text>'(?:[^']|'')*(?P<text_end>'?))
  | (?P<name>"(?:[^"]|"")*(?P<name_end>"?))
  | (?P<dollar>(?<![\w$])\$(?P<tag>(?:[A-Za-z_]\w*)?)\$)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")


class Split(Struct, frozen=True):
    """Text, cut."""

    statements: tuple[str, ...]
    """Those that are complete, each without its semicolon."""
    rest: str
    """What is not complete yet; it may be blank."""


def split(text: str) -> Split:
    """Cuts at semicolons that stand outside of strings, names and comments."""
    found, start = [], 0
    for end in _ends(text):
        found.append(text[start:end])
        start = end + 1
    return Split(tuple(each for each in found if not is_blank(each)), text[start:])


def is_blank(text: str) -> bool:
    """Nothing but blanks and comments."""
    return not re.sub(r"\s|;", "", _without_comments(text))


def _ends(text: str) -> Iterator[int]:
    place = 0
    while match := _TOKEN.search(text, place):
        place = match.end()
        if match["semicolon"]:
            yield match.start()
        elif match["block"]:
            place = _end_of_block(text, place)
        elif match["dollar"]:
            closing = text.find(match["dollar"], place)
            place = len(text) if closing < 0 else closing + len(match["dollar"])


def _end_of_block(text: str, place: int) -> int:
    """Comments nest."""
    depth = 1
    while depth and (mark := _BLOCK.search(text, place)):
        depth += 1 if mark[0] == "/*" else -1
        place = mark.end()
    return len(text) if depth else place


def _without_comments(text: str) -> str:
    kept, place = [], 0
    while match := _TOKEN.search(text, place):
        end = match.end()
        if match["block"]:
            end = _end_of_block(text, end)
        kept.append(text[place : match.start()] + ("" if match["block"] or match["line"] else match[0]))
        place = end
    return "".join(kept) + text[place:]


def pointed(sql: str, position: int) -> str:
    """The line of `sql` where something is wrong, and a caret below it."""
    position = min(max(position, 0), len(sql))
    start = sql.rfind("\n", 0, position) + 1
    line = sql[start:].partition("\n")[0]
    column = position - start
    cut = max(0, column - 60)
    shown = ("…" if cut else "") + line[cut : cut + 120]
    number = sql.count("\n", 0, position) + 1
    margin = f"line {number}: "
    return f"{margin}{shown}\n{' ' * (len(margin) + column - cut + (1 if cut else 0))}^"
