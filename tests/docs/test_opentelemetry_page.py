"""What docs/opentelemetry.md shows is true: its example is run, the names in its tables are those that are read."""

import asyncio
import re
from pathlib import Path

import pytest

from eventlog.events import Step
from ingress.otlp.export import EXPORT_BYTES
from ingress.otlp.kinds import kind_of
from ingress.otlp.once import REMEMBERED
from ingress.otlp.said import Said
from ingress.otlp.spans import MOST_ATTRIBUTES, MOST_EVENTS, MOST_SPANS, MOST_VALUES
from tests.fakes.ingress import running

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "opentelemetry.md").read_text()
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


async def test_its_example_is_a_call_and_a_step() -> None:
    async with running() as world:
        code = EXAMPLE.replace("localhost:8787", f"127.0.0.1:{world.port}")
        await asyncio.to_thread(exec, compile(code, "opentelemetry.md", "exec"), {})
        calls = {completed.call.step: completed.call for completed in await world.responses(2)}
    chat = calls[None]
    assert (chat.model, chat.user_id, chat.session_id, chat.session_path) == (
        *("gpt-4o-mini", "user-123", "trip-7"),
        "/planner/chat gpt-4o-mini",
    )
    assert calls[Step.DATA].model == "data:planner"


KEPT = re.findall(r"^\| (.+?) \| (?:a call|a (?:\[step\]\([^)]*\)|step), `(\w+)`) \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("cell", "step"), KEPT, ids=[step or "call" for _, step in KEPT])
def test_its_rule_is_the_one_that_is_followed(cell: str, step: str) -> None:
    operations: list[str] = re.findall(r"`([a-zA-Z_]+)`", cell.partition(";")[0])
    for operation in operations:
        kind = kind_of(Said({"gen_ai.operation.name": operation}))
        assert kind is not None
        assert (kind.step or "") == step, operation
    assert operations or "a model" in cell


def test_its_attributes_are_read() -> None:
    code = "".join(path.read_text() for path in (ROOT / "ingress" / "otlp").glob("*.py"))
    table = TEXT.split("## What is read")[1].split("## Answers")[0]
    spaces = "gen_ai|llm|traceloop|user|enduser|session|server|http|error|service|deployment"
    named: list[str] = re.findall(rf"`((?:{spaces})\.[^`]+)`", table)
    stems = {re.sub(r"\.0\.…|\.…|Helicone-[\w-]+", "", name) for name in named}
    assert stems
    assert {stem for stem in stems if stem not in code} == set()


def test_its_bounds_are_those_that_hold() -> None:
    assert MOST_ATTRIBUTES == MOST_EVENTS
    for bound in (MOST_SPANS, MOST_ATTRIBUTES, MOST_VALUES, REMEMBERED):
        assert f"{bound:,}" in TEXT
    assert f"{EXPORT_BYTES >> 20} MiB" in TEXT
