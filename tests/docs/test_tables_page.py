"""Reading the files as the pages say gives what the view gives, after a replay too."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from storage.query import Limits, run_query
from tests.fakes.small_lake import SmallLake

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    made = SmallLake(tmp_path / "data" / "lake")
    made.add("calls", *({"call_id": f"call-{number}", "cost_usd": "1"} for number in range(3)))
    made.add("amendments", {"call_id": "call-1", "revision": 1, "cost_usd": "20"}, {"call_id": "call-2", "revision": -1, "cost_usd": "9"})
    made.add("amendments", {"call_id": "call-1", "revision": 2, "cost_usd": "30"})
    made.add("amendments", {"call_id": "call-3", "revision": -1, "outcome": "abandoned", "cost_usd": None})
    return made


def printed(page: str, folder: Path) -> str:
    (code,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
        if "amendments" in block
    ]
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_rows_that_stand_are_those_of_the_view(lake: SmallLake, tmp_path: Path) -> None:
    view = run_query(lake.lake, "SELECT call_id, revision FROM calls ORDER BY 1", organization=None, limits=Limits()).table
    expected = [(row["call_id"], str(row["revision"])) for row in view.to_pylist()]
    assert expected == [("call-0", "0"), ("call-1", "2"), ("call-2", "0"), ("call-3", "-1")]
    assert re.findall(r"(call-\d)[^\w-]+(-?\d+)", printed("docs/tables.md", tmp_path)) == 2 * expected


def test_the_readme_sums_what_stands(lake: SmallLake, tmp_path: Path) -> None:
    assert re.findall(r"gpt-4o-mini\W+(\d+)\.", printed("README.md", tmp_path)) == 3 * ["32"]
