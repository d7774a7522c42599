"""Objects that an application may hand over and that nobody can read."""

from collections.abc import Mapping
from typing import Any


class Hostile:
    """Whatever is asked of it raises."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return object.__getattribute__(self, name)
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __bool__ = __len__ = __iter__ = __hash__ = __eq__ = __repr__  # type: ignore[assignment]


class HostileMapping(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __iter__(self) -> Any:
        raise RuntimeError

    def __len__(self) -> int:
        return 3


class HostileFunction:
    @property
    def __signature__(self) -> Any:
        raise RuntimeError

    def __call__(self) -> None: ...

    __name__ = __doc__ = __signature__  # type: ignore[assignment]


class HostileModel:
    def model_dump(self, **kwargs: Any) -> Any:
        raise RuntimeError

    to_dict = model_dump


def circle() -> Any:
    found: dict[str, Any] = {"a": []}
    found["a"].append(found)
    return found


def deep(levels: int) -> Any:
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found
