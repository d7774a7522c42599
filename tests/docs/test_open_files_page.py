"""What docs/open-files.md shows is run: each example reads the lake, and those that lay rows over each other agree with the view."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.settings import settings
from tests.fakes.small_lake import SmallLake

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "open-files.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
RUN = "import sys\nfor example in sys.stdin.read().split('\\0'):\n    exec(example, {})\n    print('\\0', flush=True)"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each example prints, over a lake with a call that was repriced, and ratings, the newest of which was taken back."""
    folder = tmp_path_factory.mktemp("open")
    lake = SmallLake(folder / "data" / "lake")
    at = {"created_at": "2026-03-02T10:00:00Z"}
    lake.add("calls", *({"call_id": f"c{number}", "cost_usd": "1", **at} for number in range(3)))
    lake.add("calls", {"call_id": "d", "cost_usd": "2", "model": "o4-mini", "created_at": "2026-02-01T10:00:00Z"})
    lake.add("amendments", {"call_id": "c0", "revision": 1, "cost_usd": "40", **at})
    lake.add("bodies", *({"call_id": "c0", "side": side, "text": side, **at} for side in ("request", "response")))
    for number, rating in enumerate([True, False, True]):
        lake.add(
            "feedback", {"feedback_id": f"f{number}", "request_id": "c0", "rating": rating, "given_at": f"2026-03-0{number + 3}T00:00:00Z"}
        )
    lake.add("feedback", {"feedback_id": "g", "request_id": "c1", "rating": True, "given_at": "2026-03-03T00:00:00Z"})
    lake.add("feedback", {"feedback_id": "h", "request_id": "c1", "rating_retracted": True, "given_at": "2026-03-04T00:00:00Z"})
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input="\0".join(EXAMPLES),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0\n")[:-1]


def test_each_is_run(printed: list[str]) -> None:
    assert len(printed) == len(EXAMPLES) == 5
    for library in ("duckdb", "polars", "pandas", "deltalake"):
        assert sum(f"import {library}" in example or f"from {library}" in example for example in EXAMPLES) >= 1


def test_they_agree(printed: list[str]) -> None:
    view, files, polars, pandas, arrow = printed
    for said in (view, polars):
        assert re.search(r"gpt-4o-mini\W+3\W+42\.0*\W+1\b", said), said
        assert re.search(r"o4-mini\W+1\W+2\.0*\W+0\b", said), said
    assert re.search(r"2026-03-02\W+3\W+3\.0", files)
    assert "2026-02-01" not in files
    assert re.search(r"gpt-4o-mini\s+42\.0", pandas)
    assert "o4-mini  " not in pandas.replace("gpt-4o-mini", "")
    assert arrow.split("\n")[0] == "2 bodies"


def test_the_time_it_tells_is_the_one_that_holds() -> None:
    grace = settings().storage().tombstone_grace
    assert ("stay for an hour" in TEXT, grace.total_seconds()) == (True, 3600)
