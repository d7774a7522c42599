"""Work on large bodies, done beside the event loop: every other call would wait for it."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LARGE = 256 << 10
"""Bytes from which a body is worked on beside the loop: a smaller one takes less than the change of threads is worth."""

P = ParamSpec("P")
T = TypeVar("T")


async def beside(size_bytes: int, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What `work`, which reads `size_bytes` and changes nothing that others see, comes to. Raises what it raises."""
    if size_bytes < LARGE:
        return work(*args, **named)
    return await asyncio.to_thread(work, *args, **named)
