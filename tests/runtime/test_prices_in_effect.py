"""Prices as they count in a running `heliograph up`: set, taken away, written into a file and spoilt there, with nothing restarted."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.fakes.stack import Stack, free_port
from tests.fakes.stack import stack as running
from tests.runtime.test_cli import typed as in_a_shell
from tests.runtime.test_keys_in_effect import soon, typed


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("prices")) as made:
        yield made


def booked(stack: Stack) -> str | None:
    """What a new call's cost rests on."""
    body = {"model": "house-1", "messages": [{"role": "user", "content": "hello"}]}
    call_id = httpx.post(f"{stack.proxy}/v1/chat/completions", json=body, timeout=20).headers["helicone-id"]
    (row,) = stack.rows(f"request_id = '{call_id}'", count=1)
    source: str | None = row["price_source"]
    return source


def becomes(stack: Stack, source: str) -> Callable[[], bool]:
    return lambda: str(booked(stack)).startswith(source)


def test_a_day_with_prices(stack: Stack) -> None:
    here = {"HELIOGRAPH_API_PORT": str(stack.api_port), "HELIOGRAPH_DATA_DIR": str(stack.data_dir)}
    assert str(booked(stack)).startswith("unpriced: the price list does not know the model house-1")
    which = typed(stack, "prices", "set", "input=1,output=2", "--model", "house-*", **here).split(":")[0]
    soon(becomes(stack, "own price for */house-*: input=1,output=2"))
    file = stack.data_dir / "prices.toml"
    file.write_text('[[price]]\nprovider = "openai"\nmodel = "house-1"\nrates = { request = 0.25 }\n')
    soon(becomes(stack, "own price for openai/house-1: request=0.25"))
    file.write_text("[[price]]\nrates = { request = -1 }\n")
    soon(lambda: b"heliograph_prices_file_refused 1.0" in httpx.get(f"{stack.proxy}/metrics").content)
    assert booked(stack) == "own price for openai/house-1: request=0.25"
    file.unlink()
    soon(becomes(stack, "own price for */house-*: input=1,output=2"))
    typed(stack, "prices", "remove", which, **here)
    soon(becomes(stack, "unpriced: "))

    rows = stack.rows("price_basis = 'own'")
    assert {Decimal(str(row["cost_usd"])) for row in rows if "request" in row["price_source"]} == {Decimal("0.25")}
    typed(stack, "prices", "set", "request=0.5", "--model", "house-1", **here)
    typed(stack, "reprice", "--from", "2020-01-01", **here)  # beside the sink, which goes on writing
    assert all(Decimal(str(row["cost_usd"])) == Decimal("0.5") for row in stack.rows("true"))
    assert "an earlier figure was replaced" in typed(stack, "prices", "explain", rows[0]["call_id"], **here)


def test_a_start_refuses_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("[price]\n")
    told = in_a_shell("up", "--port", str(free_port()), "--api-port", str(free_port()), "--data-dir", str(tmp_path))
    assert told.returncode != 0
    assert f"{tmp_path / 'prices.toml'}: each price begins with [[price]], in two brackets" in told.stderr
    assert "Traceback" not in told.stderr
