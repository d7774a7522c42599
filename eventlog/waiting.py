"""Pauses that an end cuts short."""

import asyncio


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Waits until `stop` is set, at most so long. Whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


async def first_of(awaited: asyncio.Event, stop: asyncio.Event) -> bool:
    """Waits until one of them is set. Whether it is the first."""
    waits = [asyncio.ensure_future(event.wait()) for event in (awaited, stop)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
    return awaited.is_set()
