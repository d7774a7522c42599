"""What came to the lake though it was erased."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eventlog.erasure import About, erasure
from eventlog.events import Organization
from storage.erased_late import sweep
from tests.fakes.small_lake import SmallLake


def test_figures_of_calls_that_are_gone_go_too(tmp_path: Path) -> None:
    """They were being settled while their call was erased."""
    made = SmallLake(tmp_path)
    made.add("calls", {"call_id": "folded"})
    made.add("amendments", {"call_id": "amended", "revision": 1})
    figures = {"revision": 0, "organization": "default"}
    made.add("superseded", *({"call_id": each, **figures} for each in ("folded", "amended", "gone")))
    made.add("superseded", {"call_id": "somebody else's", **figures, "organization": "other"})
    now = datetime.fromtimestamp(time.time(), UTC)
    about = erasure(About.USER, Organization("default"), ["ann"], before=now, until=now + timedelta(days=1))
    assert sweep(made.lake, about) == 1
    left = made.lake.table("superseded").to_pyarrow_table().column("call_id").to_pylist()
    assert sorted(left) == ["amended", "folded", "somebody else's"]
