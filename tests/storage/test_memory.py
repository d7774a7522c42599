"""A process that writes a lake gives back what a flush took."""

import subprocess
import sys

FLUSHES = """
import psutil, pyarrow as pa
from storage.memory import frugal
{frugal}
def table():
    return [pa.repeat(number, 1_000_000) for number in range(40)]
made = table()
del made
print(psutil.Process().memory_info().rss >> 20)
"""


def left_after(frugal: str) -> int:
    """MB of a process after it made and dropped 320 MB."""
    return int(subprocess.check_output([sys.executable, "-c", FLUSHES.format(frugal=frugal)]))


def test_what_was_freed_is_given_back() -> None:
    assert left_after("frugal()") < 200


def test_a_second_time_changes_nothing() -> None:
    assert left_after("frugal(); frugal()") < 200
