"""The table of dialects has a row for each, and claims no more and no less than the cases show."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from processors.dialects import DIALECTS

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "dialects"
COLUMNS = ("asked", "stream", "plain", "cache", "reasoning", "tiers", "unknown")
ROWS = {
    name: dict(zip(COLUMNS, (cell.strip() for cell in cells.split(" | ")), strict=True))
    for name, cells in re.findall(r"^\| `([\w.]+)` \| (.*) \|$", (ROOT / "docs" / "dialects.md").read_text(), re.MULTILINE)
}
STREAMS = frozenset({".sse", ".frames", ".ndjson"})


def shown(name: str) -> list[tuple[Path, dict[str, Any]]]:
    return [(next(path.parent.glob("response.*")), json.loads(path.read_text())) for path in (CASES / name).glob("*/expected.json")]


def test_each_dialect_has_a_row() -> None:
    assert sorted(ROWS) == sorted(dialect.name for dialect in DIALECTS)


@pytest.mark.parametrize("name", ROWS)
def test_what_a_row_claims_some_case_shows(name: str) -> None:
    cases = shown(name)
    usages = [expected["reading"].get("usage", {}) for _, expected in cases]
    row = {column: not ROWS[name][column].startswith("–") for column in COLUMNS}
    assert row["stream"] == any(body.suffix in STREAMS for body, _ in cases)
    assert row["cache"] == any("cache_read" in usage for usage in usages)
    assert ("written" in ROWS[name]["cache"]) == any(usage.get("cache_write") for usage in usages)
    assert row["reasoning"] == any("reasoning" in usage for usage in usages)
    assert row["tiers"] == any("context" in expected["reading"] and expected["cost_usd"] is not None for _, expected in cases)
