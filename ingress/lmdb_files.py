"""LMDB files that several processes share, for what may be lost with the machine and not with a process.

LMDB lets one process write at a time, for microseconds, and takes back what a killed one held. Nothing waits for the disk, so that the file
of an earlier boot may be damaged: each boot has one of its own, and the others are removed.
"""

import shutil
from pathlib import Path

import lmdb

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
READERS = 512


def opened(directory: Path, limit_bytes: int, *, databases: int = 0) -> lmdb.Environment:
    """The file of the present boot in `directory`, of at most so many bytes. Raises OSError and lmdb.Error."""
    path = directory / _boot()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for each in directory.iterdir():
        if each != path and each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
    size = -(-limit_bytes // 4096) * 4096
    env = lmdb.open(str(path), map_size=size, sync=False, metasync=False, max_readers=READERS, max_dbs=databases)
    env.reader_check()  # whoever was killed while it read keeps pages from being used again
    return env


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return "one"
