"""Golden questions: a folder of rows, a question and its answer is a test. Decimals in the answer are text, to the last digit."""

import json
from pathlib import Path

import pytest

from storage.formats import json_rows
from storage.query import run_query
from tests.fakes.small_lake import SmallLake

CASES = sorted(path.parent for path in (Path(__file__).parents[1] / "cases" / "queries").glob("*/query.sql"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Path, tmp_path: Path) -> None:
    world = SmallLake(tmp_path / "lake")
    for line in (case / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        world.add(row.pop("table"), row)
    answer = run_query(world.lake, (case / "query.sql").read_text())
    decimals = [index for index, kind in enumerate(answer.types) if kind.startswith("DECIMAL")]
    rows = b"".join(json_rows(answer.table))
    found = json.loads(rows, parse_float=str) if decimals else json.loads(rows)
    expected = json.loads((case / "result.json").read_text())
    assert answer.table.column_names == expected["columns"]
    assert _as_text(found, decimals) == _as_text(expected["rows"], decimals)


def _as_text(rows: list[list[object]], decimals: list[int]) -> list[list[object]]:
    """Decimal cells as the text they were sent as."""
    return [[str(cell) if index in decimals and cell is not None else cell for index, cell in enumerate(row)] for row in rows]
