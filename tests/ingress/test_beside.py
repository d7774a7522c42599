"""Large bodies, worked on beside the event loop."""

import asyncio
import json
import threading
from typing import Any

import pytest

from ingress import asking, recording, targets
from ingress.beside import LARGE, beside
from ingress.cache_store import SharedCache
from tests.fakes.ingress import running, status_of
from tests.fakes.provider import sized
from tests.fakes.raw_server import Peer


@pytest.mark.parametrize(("size", "elsewhere"), [(0, False), (LARGE - 1, False), (LARGE, True)])
async def test_what_is_large_is_done_in_another_thread(size: int, *, elsewhere: bool) -> None:
    assert (await beside(size, threading.get_ident) != threading.get_ident()) is elsewhere


@pytest.mark.parametrize("size", [0, LARGE])
async def test_what_goes_wrong_there_goes_wrong_here(size: int) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await beside(size, int, "x")


OVERRIDE = json.dumps([{"target-url": "URL", "headers": {}, "onCodes": [], "bodyKeyOverride": {"n": 1}}])
WORK: dict[str, tuple[Any, str, str]] = {
    "usage of streams": (targets, "with_stream_usage", "Helicone-Stream-Usage: true"),
    "an override": (targets, "merged", f"Helicone-Fallbacks: {OVERRIDE}"),
    "whether there is something to override": (targets, "check_object", f"Helicone-Fallbacks: {OVERRIDE}"),
    "the facts of a body at hand": (recording, "asked_of", "Helicone-Retry-Enabled: true"),
    "the facts of a body that streams": (recording, "asked_of", "Helicone-Omit-Response: true"),
    "the facts of what is sent instead": (recording, "asked_of", f"Helicone-Fallbacks: {OVERRIDE}"),
    "a cache's key": (asking, "key_of", "Helicone-Cache-Enabled: true\r\nHelicone-Cache-Ignore-Keys: a"),
    "a question to the moderation": (asking, "question_of", "Helicone-Moderations-Enabled: true"),
}


@pytest.mark.parametrize(("module", "name", "header"), WORK.values(), ids=WORK)
@pytest.mark.parametrize("large", [False, True])
async def test_no_other_call_waits_for(
    module: Any, name: str, header: str, *, large: bool, cache: SharedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, work = threading.get_ident(), getattr(module, name)
    seen: list[bool] = []

    def watched(*args: Any, **named: Any) -> Any:
        seen.append(threading.get_ident() != here)
        return work(*args, **named)

    async def once_seen(peer: Peer, request: bytes) -> None:
        """A provider never so quick that its answer is there before the request has passed."""
        while not seen:
            await asyncio.sleep(0.005)
        await sized()(peer, request)

    monkeypatch.setattr(module, name, watched)
    body = json.dumps({"stream": True, "messages": [{"role": "user", "content": "x" * (LARGE if large else 0)}]}).encode()
    async with running(once_seen, cache=cache) as world:
        said = header.replace("URL", world.provider.url).encode() + b"\r\n"
        assert status_of(await world.post(body=body, headers=said)) == 200
        await world.requests()
    assert seen == [large] * len(seen) != []
