"""A pause that an end cuts short."""

import asyncio


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Waits until `stop` is set, at most so long. Whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
