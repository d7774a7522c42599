"""Where a group stands on the partitions that are ours, over changes of hands. No framework."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from eventlog.port import Place


class Standing:
    """`ask` tells where the group stands on every partition. What it tells is good until the partitions change hands."""

    def __init__(self, ask: Callable[[], Awaitable[Mapping[Place, int]]]) -> None:
        self._ask = ask
        self._changes = 0
        self._stood: Mapping[Place, int] | None = None
        self._committed: dict[Place, int] = {}
        self.owned: frozenset[Place] = frozenset()

    def given(self, places: Iterable[Place]) -> None:
        """These are ours now, and no others."""
        self.owned = frozenset(places)
        self._changes += 1
        self._stood = None
        self._committed.clear()

    def taken(self) -> None:
        """Everything is another's, until it is given anew."""
        self.given(())

    async def start_of(self, place: Place) -> int:
        """Where the group stood when the partitions were handed out. faust's own idea of it may come later than the first message.

        An answer that was on its way when they changed hands is asked for again: it may be of another's partitions, or too old.
        """
        while self._stood is None:
            changes, found = self._changes, await self._ask()
            if changes == self._changes:
                self._stood = found
        return self._stood.get(place, 0)

    def uncommitted(self, done: Iterable[Mapping[Place, int]]) -> dict[Place, int]:
        """Of what was done, what the group does not know: of our partitions alone, for the others' positions are another's."""
        return {
            place: offset for each in done for place, offset in each.items() if place in self.owned and self._committed.get(place) != offset
        }

    def committed(self, positions: Mapping[Place, int]) -> None:
        self._committed.update({place: offset for place, offset in positions.items() if place in self.owned})
