"""Which event loop a test runs on, and what an ingress shares with others."""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from ingress.cache_store import SharedCache
from ingress.ledger import SharedLedger


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Connections are tested on the loop of production: it closes, pauses and resets in ways of its own."""
    on_uvloop = item.path.name.startswith(
        ("test_exchange", "test_farewell", "test_pipelining", "test_server", "test_upgrades", "test_upstream")
    )
    return {"uvloop": uvloop.new_event_loop} if on_uvloop else {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SharedLedger]:
    made = SharedLedger(tmp_path / "ledger")
    yield made
    made.close()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[SharedCache]:
    made = SharedCache(tmp_path / "cache", limit_bytes=64 << 20, chance=random.Random(1).randrange)
    yield made
    made.close()
