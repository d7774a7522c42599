"""How far each partition is delivered: up to the first message of which something is still on its way. Pure."""

from collections import Counter

from eventlog.port import Place


class Progress:
    """Of the partitions that are ours now. What belongs to an earlier life of a partition is no news."""

    def __init__(self) -> None:
        self._open: dict[Place, Counter[int]] = {}
        """By offset, in their order: how many deliveries are on their way, none where there are none."""
        self._next: dict[Place, int] = {}
        self._lives: Counter[Place] = Counter()

    def life(self, place: Place) -> int:
        return self._lives[place]

    def took(self, place: Place, offset: int, deliveries: int) -> None:
        self._next[place] = offset + 1
        if deliveries:
            self._open.setdefault(place, Counter())[offset] += deliveries

    def done(self, place: Place, offset: int, life: int) -> None:
        """One of the deliveries of a message is over."""
        if life != self._lives[place]:
            return
        waiting = self._open[place]
        waiting[offset] -= 1
        if not waiting[offset]:
            del waiting[offset]

    def forget(self, place: Place) -> None:
        """It is another's now, or read again."""
        self._lives[place] += 1
        self._open.pop(place, None)
        self._next.pop(place, None)

    @property
    def positions(self) -> dict[Place, int]:
        """What is to be read next by whoever comes after us."""
        return {place: next(iter(self._open.get(place, ())), offset) for place, offset in self._next.items()}
