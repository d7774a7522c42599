"""What is found in a text: an organization's rule, made ready to search with.

RE2 looks for the next match in time that grows with the text alone; for all matches it may be the square of it, so there is a budget. A
detector names candidates by a pattern; what no pattern can say, such as a check digit, is looked at afterwards. All texts are UTF-8.

Sources: ISO/IEC 7812-1 (numbers of cards, their check digit), ITU-T E.164 (telephone numbers), and the providers' own pages on keys.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import re2

from eventlog.redaction import Detector, Redaction
from ingress.budget import MATCH, Budget

MOST_PATTERNS = 32
LONGEST_PATTERN = 1_000
MEMORY = 8 << 20
"""Bytes that RE2 may take for one pattern."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
CUT = "cut"
"""In the place of what is given up where a body was cut."""
TAKEN = frozenset({*(each.value for each in Detector), CUT})
MOST_STEPS = 5_000
"""Of all patterns of one rule: in the worst case each byte of a text takes so many."""
LEAST_FOUND = 6
"""No detector finds anything shorter."""

Finder = Callable[[bytes, Budget], Iterator[tuple[int, int]]]

KEY = (
    r"(?:^|[^0-9A-Za-z]|%[0-9A-Fa-f]{2})("
    r"sk-[0-9A-Za-z_-]{16,}|pk-helicone-[0-9a-z-]{16,}|AIza[0-9A-Za-z_-]{30,}|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|(?:gsk_|hf_|xai-|pplx-|r8_)[0-9A-Za-z]{20,}"
    r"|gh[oprsu]_[0-9A-Za-z]{20,}|github_pat_[0-9A-Za-z_]{20,}|xox[a-z]-[0-9A-Za-z-]{10,}|xapp-[0-9A-Za-z-]{10,})"
)
_LETTER = r"A-Za-z\x{C0}-\x{52F}"
"""Of scripts that put blanks between words."""
EMAIL = rf"[{_LETTER}0-9._%+'-]*[{_LETTER}0-9_%+-]@(?:[{_LETTER}0-9](?:[{_LETTER}0-9-]*[{_LETTER}0-9])?\.)+[{_LETTER}]{{2,}}"
CARD = r"[0-9](?:[ \x{A0}\x{2009}\x{202F}\x{2011}-]?[0-9]){12,}"
PHONE = (
    r"\+[1-9](?:[ .()/\x{A0}-]{0,2}[0-9]){7,14}"
    r"|(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}"
    r"|0[1-9](?:[ .-][0-9]{2}){4}"
    r"|\(?0[1-9][0-9]{1,4}\)?[ /-][0-9]{3,}(?:[ -]?[0-9]{2,})*"
)

_DIGIT_GROUPS = re.compile(rb"[0-9]+")
_ALNUM = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_DIGITS = frozenset(b"0123456789")


class BadPattern(ValueError):
    """A pattern that is not searched with."""


class Found(NamedTuple):
    """A place in a text, and what was found there."""

    start: int
    end: int
    name: str


class Rule:
    """A rule made ready. Raises BadPattern."""

    def __init__(self, redaction: Redaction) -> None:
        if len(redaction.patterns) > MOST_PATTERNS:
            raise BadPattern(f"at most {MOST_PATTERNS} patterns of one's own are searched for; these are {len(redaction.patterns)}")
        if unknown := [name for name in redaction.detectors if name not in TAKEN - {CUT}]:
            raise BadPattern(f"{unknown[0][:40]!r} is no detector; there are {_listed()}")
        own = {name: compiled(name, source) for name, source in redaction.patterns.items()}
        self.steps: int = sum(pattern.programsize for pattern in own.values())
        """Of all patterns of one's own: each byte of a text takes so many in the worst case."""
        if self.steps > MOST_STEPS:
            raise BadPattern(
                f"the patterns come to {self.steps} steps of RE2's, of {MOST_STEPS}; write shorter ones, with smaller counts in braces"
            )
        self._finders: list[tuple[str, Finder]] = [(each.value, _FINDERS[each]) for each in Detector if each in redaction.detectors]
        self._finders += [(name, _finder(pattern)) for name, pattern in own.items()]
        sources = [_SOURCES[each] for each in Detector if each in redaction.detectors]
        self._any = _any_of([*sources, *redaction.patterns.values()])
        self.least = 1 if own else LEAST_FOUND
        """Nothing shorter is found."""
        self.by_part = not any(sign in source for source in redaction.patterns.values() for sign in ("^", "$", r"\A", r"\z"))
        """What is found in a part of a text makes `may_be_in` true of all of it."""

    def may_be_in(self, text: bytes) -> bool:
        """Whether it is worth looking. Far cheaper than looking."""
        return self._any is not None and len(text) >= self.least and self._any.search(text) is not None

    def found_in(self, text: bytes, budget: Budget) -> list[Found]:
        """What there is, in order; none overlaps another. What a detector found, those after it do not see."""
        if not self.may_be_in(text):
            return []
        found: list[Found] = []
        for name, finder in self._finders:
            new: list[Found] = []
            for start, end in finder(text, budget):
                budget.hold(MATCH)
                new.append(Found(start, end, name))
            if new:
                found += new
                text = masked(text, new)
        return merged(found)


def compiled(name: str, source: str) -> Any:
    """A pattern of one's own. Raises BadPattern."""
    if NAME.fullmatch(name) is None or name in TAKEN:
        raise BadPattern(
            f"{name[:40]!r} is no name for a pattern: letters a-z, digits, - and _, at most 32, and none of {_listed()}, {CUT}"
        )
    if not 0 < len(source) <= LONGEST_PATTERN:
        raise BadPattern(f"the pattern {name} has {len(source)} characters; from 1 to {LONGEST_PATTERN} are expected")
    try:
        pattern = _re2(source)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise BadPattern(f"the pattern {name} is none of RE2's (no look-around, no back-references): {why}") from None
    if any(match.start() == match.end() for text in (b"", b"a 1") for match in pattern.finditer(text)):
        raise BadPattern(f"the pattern {name} matches where nothing is; have it ask for at least one character")
    return pattern


def _any_of(sources: list[str]) -> Any:
    """What finds whatever one of them finds. None of none."""
    try:
        return _re2("|".join(f"(?:{source})" for source in sources)) if sources else None
    except re2.error:
        raise BadPattern("the patterns are too much together; write fewer, or give two groups the same name no more") from None


def masked(text: bytes, found: list[Found]) -> bytes:
    """The same length, without what was found."""
    hidden = bytearray(text)
    for start, end, _ in found:
        hidden[start:end] = bytes(end - start)
    return bytes(hidden)


def merged(found: list[Found]) -> list[Found]:
    """In order, and those that overlap as one."""
    together: list[Found] = []
    for each in sorted(found):
        if together and each.start < together[-1].end:
            last = together.pop()
            together.append(Found(last.start, max(last.end, each.end), last.name))
        else:
            together.append(each)
    return together


def _listed() -> str:
    return ", ".join(each.value for each in Detector)


def _re2(source: str) -> Any:
    options = re2.Options()
    options.max_mem, options.log_errors = MEMORY, False
    return re2.compile(source, options)


def _matches(pattern: Any, text: bytes, budget: Budget) -> Iterator[Any]:
    for match in pattern.finditer(text):
        budget.tick()
        yield match


def _finder(pattern: Any) -> Finder:
    return lambda text, budget: (match.span() for match in _matches(pattern, text, budget) if match.start() < match.end())


_keys, _emails, _cards, _phones = _re2(KEY), _re2(EMAIL), _re2(CARD), _re2(PHONE)


def _keys_in(text: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    """Drawn by chance, so there is a digit; a name in words and dashes has none."""
    for match in _matches(_keys, text, budget):
        start, end = match.span(1)
        if not _DIGITS.isdisjoint(text[start:end]):
            yield start, end


def _cards_in(text: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    """A run of digits may have more in it than a card: its date, or another card."""
    for match in _matches(_cards, text, budget):
        coming = (group.span() for group in _DIGIT_GROUPS.finditer(text, *match.span()))
        groups = deque(islice(coming, MOST_GROUPS))
        while groups:
            budget.tick()
            taken = next((count for count in _card_shapes(groups) if _is_card(text, groups[0][0], groups[count - 1][1])), 0)
            if taken:
                yield groups[0][0], groups[taken - 1][1]
            for _ in range(taken or 1):
                groups.popleft()
            groups.extend(islice(coming, taken or 1))


def _card_shapes(groups: Iterable[tuple[int, int]]) -> Iterator[int]:
    """How many of the groups, from the first on, may be one card: the most first."""
    lengths = tuple(end - start for start, end in groups)
    if lengths[0] not in FIRST_GROUPS:
        return
    for count in range(len(lengths), 0, -1):
        shape = lengths[:count]
        if shape in SHAPES or (count == 1 and SHORTEST_CARD <= shape[0] <= LONGEST_CARD):
            yield count


SHORTEST_CARD, LONGEST_CARD = 13, 19
SHAPES = frozenset(
    {(4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (4, 4, 4, 1), (4, 4, 5), (4, 6, 4), (4, 6, 5), (6, 13), (8, 8)}
)
"""How people write them in groups. Any other grouping is a table of numbers."""
FIRST_GROUPS = frozenset({*(shape[0] for shape in SHAPES), *range(SHORTEST_CARD, LONGEST_CARD + 1)})
MOST_GROUPS = 5
_ISSUED = re.compile(rb"220[0-4]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[04-9]|[4-6]")
"""What numbers of cards begin with."""


def _is_card(text: bytes, start: int, end: int) -> bool:
    digits = bytes(byte for byte in text[start:end] if byte in _DIGITS)
    if _ISSUED.match(digits) is None or not _stands_alone(text, start, end):
        return False
    doubled = (2 * (byte - 48) for byte in digits[-2::-2])
    return (sum(byte - 48 for byte in digits[-1::-2]) + sum(value % 10 + value // 10 for value in doubled)) % 10 == 0


def _phones_in(text: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    for match in _matches(_phones, text, budget):
        start, end = match.span()
        digits = sum(byte in _DIGITS for byte in text[start:end])
        if _stands_alone(text, start, end) and text[start - 1 : start] not in _JOINING and LEAST_PHONE <= digits <= MOST_PHONE:
            yield start, end


LEAST_PHONE, MOST_PHONE = 8, 15
_JOINING = (b"-", b"/", b"+", b"=", b"(")


def _stands_alone(text: bytes, start: int, end: int) -> bool:
    """It is no part of a word, of a longer number, or of a fraction."""
    before, after = text[start - 1 : start] if start else b"", text[end : end + 2]
    if before and (before[0] in _ALNUM or before == b"."):
        return False
    return not (after and (after[0] in _ALNUM or (after[:1] == b"." and after[1:].isdigit())))


_FINDERS: dict[Detector, Finder] = {
    Detector.PROVIDER_KEYS: _keys_in,
    Detector.EMAIL: _finder(_emails),
    Detector.CARD: _cards_in,
    Detector.PHONE: _phones_in,
}
_SOURCES = {Detector.PROVIDER_KEYS: KEY, Detector.EMAIL: EMAIL, Detector.CARD: CARD, Detector.PHONE: PHONE}
