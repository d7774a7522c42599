"""Which event loop a test runs on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Connections are tested on the loop of production: it closes, pauses and resets in ways of its own."""
    on_uvloop = item.path.name.startswith(
        ("test_exchange", "test_farewell", "test_pipelining", "test_server", "test_upgrades", "test_upstream")
    )
    return {"uvloop": uvloop.new_event_loop} if on_uvloop else {"asyncio": asyncio.new_event_loop}
