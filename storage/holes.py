"""Offsets without a message. The end of a transaction takes one, and so does a message that was taken back.

Such a hole looks as if the reader had left something out. So what follows on it is read once more, from where the hole begins: one that is
there again has nothing in it.
"""

from eventlog.port import Place

Hole = tuple[int, int]
"""The offset that should come, and the one that came."""


class Holes:
    """What was found in a reading that is done again."""

    def __init__(self) -> None:
        self._found: dict[Place, set[Hole]] = {}
        self._last: dict[Place, int] = {}

    def known(self, place: Place, expected: int, came: int) -> bool:
        return (expected, came) in self._found.get(place, ())

    def find(self, place: Place, expected: int, came: int) -> None:
        """It is read again from `expected`; what was found there before no longer counts."""
        self._found[place] = {(expected, came)}
        self._last[place] = came

    def pass_over(self, place: Place, offset: int) -> None:
        """Behind a hole this came too, and will come again: further holes need no reading of their own."""
        last = self._last.get(place)
        if last is None or offset <= last:
            return
        if offset > last + 1:
            self._found[place].add((last + 1, offset))
        self._last[place] = offset

    def forget(self, place: Place) -> None:
        self._found.pop(place, None)
        self._last.pop(place, None)
