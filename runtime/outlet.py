"""Where an answer goes: to standard output, or into a file that is made when the first of it comes."""

import sys
from pathlib import Path
from typing import IO


class Outlet:
    """Close it at the end. A question that is refused leaves a file that was there as it was."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._last = b"\n"

    def write(self, piece: bytes) -> None:
        """Raises OSError."""
        self._out().write(piece)
        self._last = piece[-1:] or self._last

    def end(self, *, line: bool) -> None:
        """All of the answer was written. `line`: on standard output, its last line is ended. Raises OSError."""
        if self._path is None and line and self._last != b"\n":
            self.write(b"\n")
        self._out().flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _out(self) -> IO[bytes]:
        if self._path is None:
            return sys.stdout.buffer
        self._file = self._file or self._path.open("wb")
        return self._file
