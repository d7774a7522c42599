"""What an application hands over, as it is at that moment, and about how much memory it holds. It runs on the application's thread.

Dicts and lists are copied, since applications go on to append to them; texts and foreign objects (those of `openai` and `anthropic`)
are kept as they are. Both go as far as `VALUES`: of what lies beyond, dicts and lists are kept as they are and their size is guessed.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

VALUES = 64
"""That are looked at of a request, an answer, and the like: so many take about 15 µs."""
HEAD_BYTES = 56
"""Of an object, beside what it holds."""
FOREIGN_BYTES = 1_000
"""Of one that shows nothing of itself."""


class Snapshot:
    """Copies, and adds up `weight`, in bytes."""

    __slots__ = ("_left", "weight")

    def __init__(self) -> None:
        self.weight = self._left = 0

    def of(self, value: Any) -> Any:
        """A copy. What cannot be read is kept as it is: whoever encodes it finds out."""
        self._left = VALUES
        try:
            self.weight += HEAD_BYTES
            return self._copy(value)
        except Exception:  # noqa: BLE001 an object's own code, or another thread that changes it now
            self.weight += FOREIGN_BYTES
            return value

    def _copy(self, value: Any) -> Any:
        kind = type(value)
        if kind is dict:
            return self._of_dict(value.copy())
        if kind is str or kind is bytes:
            self.weight += len(value)
        elif kind is list or kind is tuple:
            return self._of_list(list(value))
        elif kind not in _SMALL:
            self._weigh(value)
        return value

    def _of_dict(self, copy: dict[Any, Any]) -> dict[Any, Any]:
        """Its names are as good as always the same few, and weigh nothing."""
        count, texts = len(copy), 0
        self.weight += HEAD_BYTES * count
        before, looked_at = self.weight, max(0, min(count, self._left))
        self._left -= looked_at
        for key, value in copy.items() if looked_at == count else list(islice(copy.items(), looked_at)):
            kind = type(value)
            if kind is str:
                texts += len(value)
            elif kind not in _SMALL:
                copy[key] = self._copy(value)
        self.weight += texts
        if looked_at < count:
            self.weight += (count - looked_at) * ((self.weight - before) // max(looked_at, 1))
        return copy

    def _of_list(self, copy: list[Any]) -> list[Any]:
        """From its end: of a chat's messages the last ones are those that applications go on to change. Numbers are not looked at."""
        count = len(copy)
        self.weight += HEAD_BYTES * count
        before = self.weight
        for at in range(count - 1, -1, -1):
            value = copy[at]
            if self._left <= 0 or type(value) in _SMALL:
                self.weight += (at + 1) * ((self.weight - before) // max(count - 1 - at, 1))
                break
            self._left -= 1
            copy[at] = self._copy(value)
        return copy

    def _weigh(self, value: Any) -> None:
        fields = getattr(value, "__dict__", None)
        if type(fields) is dict:
            self._of_dict(fields.copy())
        else:
            self.weight += FOREIGN_BYTES


_SMALL = frozenset({int, float, bool, type(None)})
