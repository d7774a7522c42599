"""Files that are there as a whole or not at all: each is written beside its place, and takes it when all are done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from runtime.settings import Misconfigured

UNFINISHED = ".part"


class WholeFiles:
    """Those that are being written."""

    def __init__(self, *, force: bool) -> None:
        """`force` lets them take the place of others."""
        self._force = force
        self._begun: list[Path] = []

    def free(self, path: Path) -> None:
        """Raises Misconfigured where something else is in the place."""
        if path.is_dir():
            raise Misconfigured(f"{path} is a directory.")
        if path.exists() and not self._force:
            raise Misconfigured(f"{path} is there already. Choose another name, or say --force to replace it.")

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """A new file, that will be at `path`. Raises Misconfigured."""
        self.free(path)
        unfinished = path.with_name(path.name + UNFINISHED)
        with unfinished.open("wb") as file:
            self._begun.append(path)
            yield file
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> list[Path]:
        """All take their places. Raises Misconfigured."""
        for path in self._begun:
            self.free(path)
        for path in self._begun:
            path.with_name(path.name + UNFINISHED).replace(path)
        done, self._begun = self._begun, []
        return done

    def abandon(self) -> None:
        """What is not finished is removed."""
        for path in self._begun:
            with suppress(OSError):
                path.with_name(path.name + UNFINISHED).unlink()


@contextmanager
def whole_files(*, force: bool) -> Iterator[WholeFiles]:
    """Finished at the end of the block, removed when it is left by an error, Ctrl-C too."""
    files = WholeFiles(force=force)
    try:
        yield files
        files.finish()
    except BaseException:
        files.abandon()
        raise
