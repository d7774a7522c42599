"""The field that all processes under fire share: a folder with the log, the lake and a few words that outlive whoever wrote them."""

import os
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.erasure import Erasure
from storage.config import StorageConfig
from storage.erasing import Subject


class Field(Struct, frozen=True):
    """Where it is, and how it is upkept."""

    folder: Path
    today: date
    grace_s: float | None = None
    """How long the short vacuum leaves a file that nothing refers to; None: there is none, but files go at once after erasures."""

    @property
    def config(self) -> StorageConfig:
        return StorageConfig(
            lake_uri=str(self.folder / "lake"), flush_seconds=0.2, settle_quiet=timedelta(), small_files=4, target_file_bytes=1 << 20
        )

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def level(self) -> int:
        """Of prices. It is raised before anything is priced by it."""
        return int(self._read("level") or 0)

    def raise_level(self, level: int) -> None:
        self._write("level", str(level))

    def subjects(self) -> list[Subject]:
        """Whom somebody wants to be forgotten."""
        return msgspec.json.decode(self._read("subjects") or "[]", type=list[Subject])

    def forget(self, subject: Subject) -> None:
        self._write("subjects", msgspec.json.encode([*self.subjects(), subject]).decode())

    def tell(self, kind: str, said: str = "", count: int = 1) -> None:
        """To whoever counts. One write, so that lines of several processes stay whole."""
        line = msgspec.json.encode({"kind": kind, "said": said, "count": count, "at": time.monotonic()}) + b"\n"
        descriptor = os.open(self.folder / "told", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def told(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self._read("told").splitlines()]

    def counts(self) -> Counter[str]:
        counted: Counter[str] = Counter()
        for each in self.told():
            counted[each["kind"]] += each["count"]
        return counted

    def broken(self) -> list[str]:
        return [each["said"] for each in self.told() if each["kind"] == "broken"]

    def pulled_since(self, began: float) -> bool:
        """Whether anybody was removing files at once, from under whoever reads, at any moment since. Monotonic seconds."""
        pulling = False
        for each in self.told():
            if each["kind"] == "pulling":
                pulling = True
            elif each["kind"] == "pulled":
                if each["at"] >= began and pulling:
                    return True
                pulling = False
        return pulling

    def _read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def _write(self, name: str, text: str) -> None:
        """All or nothing, whoever is killed."""
        new = self.folder / f"{name}.{os.getpid()}"
        new.write_text(text)
        new.replace(self.folder / name)


class Known:
    """The erasures as they are decided now, as a sink asks for them: the same sequence until there is another."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._of: tuple[int, tuple[Erasure, ...]] = (0, ())

    def __call__(self) -> tuple[Erasure, ...]:
        subjects = self._field.subjects()
        if len(subjects) != self._of[0]:
            self._of = len(subjects), tuple(each.erasure for each in subjects)
        return self._of[1]
