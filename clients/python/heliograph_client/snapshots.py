"""What an application hands over, as it is at that moment, and about how much memory it holds. It runs on the application's thread.

Dicts and lists are copied, since applications go on to append to them; texts and foreign objects (those of `openai` and `anthropic`)
are kept as they are. Both go as far as `VALUES`: of what lies beyond, dicts and lists are kept as they are and their size is guessed.
"""

from __future__ import annotations

from typing import Any

VALUES = 120
"""That are looked at: so many take about 25 µs."""
HEAD_BYTES = 56
"""Of an object, beside what it holds."""
FOREIGN_BYTES = 1_000
"""Of one that shows nothing of itself."""


class Snapshot:
    """Copies, and adds up `weight`, in bytes."""

    __slots__ = ("_left", "weight")

    def __init__(self) -> None:
        self.weight, self._left = 0, VALUES

    def of(self, value: Any) -> Any:
        """A copy. What cannot be read is kept as it is: whoever encodes it finds out."""
        try:
            return self._copy(value)
        except Exception:  # noqa: BLE001 an object's own code, or another thread that changes it now
            self.weight += FOREIGN_BYTES
            return value

    def _copy(self, value: Any) -> Any:
        kind = type(value)
        self.weight += HEAD_BYTES
        self._left -= 1
        if kind is str or kind is bytes:
            self.weight += len(value)
            return value
        if kind is dict:
            return self._of_dict(value.copy())
        if kind is list or kind is tuple:
            return self._of_list(list(value))
        if kind not in _SMALL:
            self._weigh(value)
        return value

    def _of_dict(self, copy: dict[Any, Any]) -> dict[Any, Any]:
        """Its names are as good as always the same few, and weigh nothing."""
        if self._left > 0:
            for key, value in copy.items():
                if type(value) is str:  # nearly all are: twice as fast
                    self.weight += HEAD_BYTES + len(value)
                    self._left -= 1
                else:
                    copy[key] = self._copy(value)
        return copy

    def _of_list(self, copy: list[Any]) -> list[Any]:
        before = self.weight
        for at, value in enumerate(copy):
            if self._left <= 0 or type(value) in _SMALL:
                self.weight += (len(copy) - at) * max(HEAD_BYTES, (self.weight - before) // max(at, 1))
                break
            copy[at] = self._copy(value)
        return copy

    def _weigh(self, value: Any) -> None:
        fields = getattr(value, "__dict__", None)
        if type(fields) is not dict:
            self.weight += FOREIGN_BYTES
            return
        for each in list(fields.values()) if self._left > 0 else ():
            self._copy(each)


_SMALL = frozenset({int, float, bool, type(None)})
