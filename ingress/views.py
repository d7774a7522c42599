r"""A text as its reader sees it, and where each part of it lies in the bytes that it was read from.

JSON writes a character in several ways: `@` is `\u0040` too. What is looked for is looked for in what was meant, and replaced where it
is written. Escapes within escapes (JSON in a string of JSON) are a view of a view.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from ingress.detectors import Found, Rule, masked, merged

Span = tuple[int, int]

DEPTH = 3
"""So many escapes within escapes are undone."""

_ESCAPE = re.compile(rb'\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|["\\/bfnrt])')
_SHORT = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_LONGEST_SHORT = 2


class View:
    """`text` is read from parts of a source. Runs of it lie there as they are; what was escaped is a run of its own, and never cut."""

    __slots__ = ("_at", "_spans", "text")

    def __init__(self, source: bytes, parts: Iterable[Span]) -> None:
        self._at: list[int] = []
        self._spans: list[Span] = []
        pieces: list[bytes] = []
        place = 0
        for piece, span in _runs(source, parts):
            self._at.append(place)
            self._spans.append(span)
            pieces.append(piece)
            place += len(piece)
        self.text = pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def spans(self, start: int, end: int) -> list[Span]:
        """Where that part of the text lies in the source; parts that adjoin are one."""
        found: list[Span] = []
        index = bisect_right(self._at, start) - 1
        while index < len(self._at) and self._at[index] < end:
            at, (left, right) = self._at[index], self._spans[index]
            length = (self._at[index + 1] if index + 1 < len(self._at) else len(self.text)) - at
            if length == right - left:  # as it is; an escape is longer than what it means
                left, right = left + max(start - at, 0), left + min(end - at, length)
            if found and found[-1][1] == left:
                found[-1] = (found[-1][0], right)
            elif left < right:
                found.append((left, right))
            index += 1
        return found


def _runs(source: bytes, parts: Iterable[Span]) -> Iterable[tuple[bytes, Span]]:
    for start, end in parts:
        place = start
        if source.find(b"\\", start, end) >= 0:
            for match in _ESCAPE.finditer(source, start, end):
                if place < match.start():
                    yield source[place : match.start()], (place, match.start())
                yield meant(match[0]), match.span()
                place = match.end()
        if place < end:
            yield source[place:end], (place, end)


def meant(escape: bytes) -> bytes:
    """What an escape of JSON stands for. Half of a surrogate pair stands for nothing known."""
    if len(escape) == _LONGEST_SHORT:
        return _SHORT[escape[1:]]
    codes = [int(code, 16) for code in escape.split(b"\\u")[1:]]
    text = "".join(map(chr, codes)) if len(codes) == 1 else chr(0x10000 + ((codes[0] - 0xD800) << 10) + codes[1] - 0xDC00)
    return text.encode("utf-8", "replace")


def unescaped(text: bytes) -> bytes:
    """All of a text, with its escapes undone once."""
    return _ESCAPE.sub(lambda match: meant(match[0]), text)


def may_be_in(text: bytes, rule: Rule) -> bool:
    """Whether something may be found in the text, or in what its escapes mean."""
    for _ in range(DEPTH + 1):
        if rule.may_be_in(text):
            return True
        if b"\\" not in text:
            return False
        text = unescaped(text)
    return False


def found_in(text: bytes, rule: Rule, depth: int = DEPTH - 1) -> list[Found]:
    """What there is in a text, and in what its escapes mean. The innermost first: what is found there is found nowhere else."""
    found: list[Found] = []
    if depth and _ESCAPE.search(text) is not None:
        inner = View(text, [(0, len(text))])
        for start, end, name in found_in(inner.text, rule, depth - 1):
            spans = inner.spans(start, end)
            found.append(Found(spans[0][0], spans[-1][1], name))
    return merged(found + rule.found_in(masked(text, found) if found else text))


def placed(view: View, found: Sequence[Found]) -> list[tuple[list[Span], str]]:
    """Where in the source each of them lies, the parts in their order, and its name."""
    return [(view.spans(start, end), name) for start, end, name in found]
