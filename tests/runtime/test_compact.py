"""`heliograph compact` on a lake of old days: fewer files, the same answers."""

import subprocess
import sys
from pathlib import Path

from storage.query import run_query
from tests.fakes.small_lake import SmallLake

SUM = "SELECT count(*), sum(cost_usd), count(DISTINCT call_id) FROM calls"


def heliograph(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "runtime.cli", *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_old_days_become_one_file_each(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path / "lake")
    for day in (2, 3):
        for number in range(3):
            at = f"2026-01-0{day}T0{number}:00:00"
            lake.add("calls", {"call_id": f"c{day}{number}", "request_id": "r", "created_at": at, "cost_usd": "0.5"})
    lake.add("amendments", {"call_id": "c20", "request_id": "r", "created_at": "2026-01-02T00:00:00", "cost_usd": "0.7", "revision": 1})
    before = run_query(lake.lake, SUM).table
    done = heliograph("compact", "--data-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "7 files became 3: 4 steps.\n"
    assert run_query(lake.lake, SUM).table == before
    assert heliograph("compact", "--data-dir", str(tmp_path)).stdout == "There was nothing to do: 3 files.\n"


def test_where_no_lake_is_nothing_is_made(tmp_path: Path) -> None:
    done = heliograph("compact", "--data-dir", str(tmp_path))
    assert (done.returncode, "There is no lake" in done.stderr) == (2, True)
    assert not list(tmp_path.iterdir())
