"""npm packages that others published, with nothing changed but where they send: each is a row with tokens, user, property and session."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.fakes import node
from tests.fakes.stack import Stack

pytestmark = [pytest.mark.needs("node"), pytest.mark.timeout(node.PATIENCE_S)]


def drive(stack: Stack, path: Path, count: int) -> tuple[Any, dict[str, dict[str, Any]]]:
    """What the script printed, and the rows of its session by their path."""
    tag = uuid4().hex
    told = node.script(path, HELIOGRAPH_URL=stack.proxy, PROVIDER_URL=stack.provider, TEST_TAG=tag)
    rows = stack.rows(f"session_id = '{tag}'", count=count)
    assert len(rows) == count
    assert {(row["user_id"], row["properties"].get("plan")) for row in rows} == {("user-7", "pro")}
    return told, {row["session_path"]: row for row in rows}


@pytest.fixture(scope="module")
def proxied(stack: Stack, sdks: Path) -> tuple[Any, dict[str, dict[str, Any]]]:
    return drive(stack, sdks / "proxied.mjs", 4)


@pytest.mark.parametrize("way", ["", "-by-environment"], ids=["by option", "by environment"])
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_sdks_through_the_proxy(proxied: tuple[Any, dict[str, dict[str, Any]]], sdk: str, way: str) -> None:
    told, rows = proxied
    row = rows[f"/{sdk}{way}"]
    dialect = {"openai": "openai.chat", "anthropic": "anthropic.messages"}[sdk]
    assert (row["source"], row["provider"], row["dialect"], row["outcome"]) == ("proxy", sdk, dialect, "completed")
    assert row["completion_tokens"] == told[f"{sdk}{way}"] > 0
    assert row["prompt_tokens"] > 0
    assert row["cost_usd"] > 0


def test_helicone_helpers(stack: Stack, sdks: Path) -> None:
    _, rows = drive(stack, sdks / "helpers.mjs", 5)
    assert {path: (row["outcome"], row["stream"]) for path, row in rows.items()} == {
        "/request": ("completed", False),
        "/stream": ("completed", True),
        "/builder": ("completed", True),
        "/failing": ("provider_error", False),
        "/tool": ("completed", False),
    }
    for path in ("/request", "/stream", "/builder"):
        assert (rows[path]["dialect"], rows[path]["usage_source"]) == ("openai.chat", "provider")
        assert rows[path]["prompt_tokens"] > 0
        assert rows[path]["completion_tokens"] > 0
    assert rows["/request"]["cost_usd"] > 0
    assert rows["/stream"]["cost_usd"] is None  # its loggers of streams do not say whose the model is
    assert (rows["/tool"]["model"], rows["/tool"]["prompt_tokens"]) == ("tool:scales", None)


def test_helicone_helicone(stack: Stack) -> None:
    folder = node.installed(node.PUBLISHED / "helicone")
    told, rows = drive(stack, folder / "proxied.mjs", 1)
    (row,) = rows.values()
    assert (row["source"], row["outcome"], row["completion_tokens"]) == ("proxy", "completed", told["completion"])
    assert row["cost_usd"] > 0
    assert stack.row(f"request_id = '{row['request_id']}' AND rating IS NOT NULL")["rating"] is True


def test_the_async_logger_of_helicone_helicone(stack: Stack) -> None:
    folder = node.installed(node.PUBLISHED / "helicone")
    told, rows = drive(stack, folder / "traced.mjs", 1)
    (row,) = rows.values()
    assert (row["source"], row["provider"], row["outcome"], row["completion_tokens"]) == ("otlp", "openai", "completed", told["completion"])
    assert (row["usage_source"], row["cost_usd"] > 0) == ("provider", True)


def test_the_prompt_manager_of_helicone_helpers(stack: Stack, sdks: Path) -> None:
    told = node.script(sdks / "prompts.mjs", API_URL=stack.api)
    assert (told["merged"]["errors"], told["version"]) == ([], True)
    assert told["merged"]["body"]["messages"] == [{"role": "user", "content": "Where is Rome?"}]
    assert told["whole"]["messages"] == [{"role": "user", "content": "Where is {{hc:city:string}}?"}]
