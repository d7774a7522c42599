"""`heliograph-client` for Node: its own tests, what is in its archive, and calls of the SDKs themselves in a running Heliograph."""

import json
import tarfile
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.fakes import node
from tests.fakes.stack import Stack

pytestmark = [pytest.mark.needs("node"), pytest.mark.timeout(node.PATIENCE_S)]

CANCELLED, FAILED = "interrupted_by_client", "provider_error"
SCENARIOS = {
    "chat": ("openai.chat", "completed", 200),
    "chat-with-response": ("openai.chat", "completed", 200),
    "chat-stream": ("openai.chat", "completed", 200),
    "chat-stream-tee": ("openai.chat", "completed", 200),
    "chat-stream-readable": ("openai.chat", "completed", 200),
    "chat-stream-helper": ("openai.chat", "completed", 200),
    "chat-stream-left": ("openai.chat", CANCELLED, None),
    "chat-stream-aborted": ("openai.chat", CANCELLED, None),
    "chat-parse": ("openai.chat", "completed", 200),
    "response": ("openai.responses", "completed", 200),
    "response-stream": ("openai.responses", "completed", 200),
    "embeddings": ("openai.embeddings", "completed", 200),
    "message": ("anthropic.messages", "completed", 200),
    "message-stream": ("anthropic.messages", "completed", 200),
    "message-stream-helper": ("anthropic.messages", "completed", 200),
    "refused": ("openai.chat", FAILED, 429),
    "refused-parse": ("openai.chat", FAILED, 400),
    "refused-with-response": ("openai.chat", FAILED, 503),
    "overloaded": ("anthropic.messages", FAILED, 529),
    "cut-off": ("openai.chat", FAILED, None),
    "aborted": (None, CANCELLED, None),
    "timed-out": ("openai.chat", "timed_out", None),
}
UNSEEN = "chat-as-response"
"""The one helper whose answers are not looked into."""


@pytest.fixture(scope="module")
def wrapped(stack: Stack, sdks: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the calls of `wrapped.mjs` gave, and their rows, by scenario."""
    tag = uuid4().hex
    told = node.script(sdks / "wrapped.mjs", HELIOGRAPH_URL=stack.proxy, PROVIDER_URL=stack.provider, TEST_TAG=tag)
    assert told["counts"] == {"queued": 0, "sent": len(SCENARIOS) + 2, "dropped": 0, "refused": 0, "unwritable": 0}
    rows = stack.rows(f"session_id = '{tag}'", count=len(SCENARIOS))
    return told["gave"], {row["session_path"].lstrip("/"): row for row in rows}


def test_its_own_tests() -> None:
    node.installed(node.CLIENT)
    node.run("npm", "test", cwd=node.CLIENT, seconds=node.PATIENCE_S)


def test_the_archive(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as files:
        names = {name.removeprefix("package/") for name in files.getnames()}
        package = json.loads(files.extractfile("package/package.json").read())  # type: ignore[union-attr]
    assert {"LICENSE", "README.md", "dist/esm/index.js", "dist/esm/index.d.ts", "dist/cjs/index.js", "dist/cjs/package.json"} <= names
    assert not [name for name in names if name.startswith(("test", ".build", "node_modules"))]
    assert "dependencies" not in package
    node.unpacked(archive, tmp_path)
    names_of = "console.log(JSON.stringify(Object.keys({}).sort()))"
    for kind, load in (("module", "await import('heliograph-client')"), ("commonjs", "require('heliograph-client')")):
        printed = node.run("node", f"--input-type={kind}", "-e", names_of.replace("{}", load), cwd=tmp_path)
        assert json.loads(printed) == ["AsyncLogger", "HeliconeAsyncLogger"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_call_of_an_sdk(wrapped: tuple[dict[str, Any], dict[str, dict[str, Any]]], scenario: str) -> None:
    gave, rows = wrapped
    answer, row = gave[scenario], rows[scenario]
    dialect, outcome, status = SCENARIOS[scenario]
    assert (row["dialect"], row["outcome"], row["status"]) == (dialect, outcome, status)
    assert (row["source"], row["user_id"], row["properties"]["scenario"]) == ("async_log", "user-7", scenario)
    assert row["provider"] == ("anthropic" if scenario.startswith(("message", "overloaded")) else "openai")
    assert row["stream"] is ("stream" in scenario)
    if "stream" in scenario:
        assert 0 < row["ttft_ms"] <= row["latency_ms"]
    if outcome == "completed":
        assert (row["usage_source"], row["completion_tokens"]) == ("provider", answer.get("completion_tokens", 0))
        assert row["prompt_tokens"] >= answer["prompt_tokens"] > 0  # Anthropic counts what is cached beside the rest
        assert Decimal(str(row["cost_usd"])) > 0
    assert answer.get("raised", True)
    assert answer.get("same", True)


def test_feedback_on_a_wrapped_call(stack: Stack, wrapped: tuple[dict[str, Any], dict[str, dict[str, Any]]]) -> None:
    row = stack.row(f"request_id = '{wrapped[1]['chat']['request_id']}' AND rating IS NOT NULL AND cardinality(scores) = 2")
    assert (row["rating"], row["scores"]) == (True, {"accuracy": 0.9, "safe": 1.0})


def test_a_raw_response_is_handed_on_and_not_logged(wrapped: tuple[dict[str, Any], dict[str, dict[str, Any]]]) -> None:
    gave, rows = wrapped
    assert gave[UNSEEN]["prompt_tokens"] > 0
    assert UNSEEN not in rows


def test_the_page_of_helicones_users(stack: Stack, sdks: Path) -> None:
    """Its TypeScript, compiled as it stands but for the import."""
    compiler = node.CLIENT / "node_modules" / "typescript" / "bin" / "tsc"
    node.run("node", str(compiler), "-p", str(sdks), cwd=sdks)
    settings = {"OPENAI_API_KEY": "sk-your-openai-key", "OPENAI_BASE_URL": f"{stack.provider}/v1", "HELIOGRAPH_URL": stack.proxy}
    node.run("node", "build/skill_page.js", cwd=sdks, **settings)
    row = stack.row("user_id = 'user-123' AND model NOT LIKE 'gpt-4o%'")
    assert (row["source"], row["provider"], row["properties"]) == ("async_log", "openai", {"feature": "chat"})
    assert row["model"].startswith("gpt-4")
    assert row["prompt_tokens"] > 0
    assert row["completion_tokens"] > 0
    assert row["cost_usd"] > 0


def test_its_readme(stack: Stack, sdks: Path) -> None:
    """The first program in it, as it stands."""
    program = (node.CLIENT / "README.md").read_text().split("```js\n")[1].split("```")[0]
    (sdks / "build").mkdir(exist_ok=True)
    (sdks / "build" / "readme.mjs").write_text(program)
    settings = {"OPENAI_API_KEY": "sk-your-openai-key", "OPENAI_BASE_URL": f"{stack.provider}/v1", "HELIOGRAPH_URL": stack.proxy}
    node.run("node", "build/readme.mjs", cwd=sdks, **settings)
    row = stack.row("user_id = 'user-123' AND model LIKE 'gpt-4o%' AND rating IS NOT NULL")
    assert (row["rating"], row["properties"], row["usage_source"]) == (True, {"feature": "chat"}, "provider")
