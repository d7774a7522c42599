"""Files of the lake that are not there, are no Parquet, or are damaged: named, and left out, so that the rest answers.

That a file cannot be read is found by a question that needs it. A lake that others compact meanwhile looks the same for a moment, so this
comes after the question was asked a second time. Whatever is left out is said with each answer, until the file is back.
"""

import time
from collections.abc import Callable, Mapping, Set
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from msgspec import structs
from pyarrow import fs

from storage.lake import Lake
from storage.sources import LiveFile, Source

log = structlog.get_logger()

AGAIN_S = 30.0
"""So long a file that could not be opened is not tried again."""
DAMAGED_S = 600.0
"""So long one whose pages are damaged, which takes longer to find."""


class SetAside:
    """What was found unreadable a short while ago. May be used by several threads."""

    def __init__(self, lake: Lake, clock: Callable[[], float] = time.monotonic) -> None:
        self._lake, self._clock = lake, clock
        self._until: dict[str, float] = {}
        self._lock = Lock()

    def without(self, sources: Mapping[str, Source]) -> tuple[dict[str, Source], tuple[str, ...]]:
        """The sources as far as they can be read, and the names of the files that are left out: `calls/day=…/….parquet`."""
        with self._lock:
            now = self._clock()
            self._until = {path: until for path, until in self._until.items() if until > now}
            bad = self._until.keys()
            if not bad:
                return dict(sources), ()
            left = [f"{table}/{_name(file)}" for table, source in sources.items() for file in source.files if file.path in bad]
            return {table: _readable(source, bad) for table, source in sources.items()}, tuple(sorted(left))

    def look(self, sources: Mapping[str, Source], reads: Callable[[str], bool] | None = None) -> bool:
        """Tries each file; whether any of them is gone, or no Parquet. Blocks.

        `reads`: whether all of the file of a path can be read; where it is given, one that cannot is no better. What it raises is raised.
        """
        system, _ = self._lake.filesystem()
        paths = [file.path for source in sources.values() for file in source.files]
        bad = {path: AGAIN_S for path in paths if not _opens(system, path)}
        if reads is not None:
            bad |= {path: DAMAGED_S for path in paths if path not in bad and not reads(path)}
        with self._lock:
            self._until |= {path: self._clock() + seconds for path, seconds in bad.items()}
        for path in bad:
            log.error("lake_file_unreadable", path=path)
        return bool(bad)


def _readable(source: Source, bad: Set[str]) -> Source:
    """Without rollups where one of their files is bad: what they were made of is read instead."""
    files = tuple(file for file in source.files if file.path not in bad)
    return source if len(files) == len(source.files) else structs.replace(source, files=files, partial=True, parts=())


def _name(file: LiveFile) -> str:
    return "/".join(file.path.rsplit("/", 2)[1:])


def _opens(system: fs.FileSystem, path: str) -> bool:
    try:
        pq.read_metadata(path.removeprefix("s3://"), filesystem=system)
    except (FileNotFoundError, pa.ArrowException):
        return False
    except OSError:  # a store that is away for a moment has lost nothing
        return True
    return True
