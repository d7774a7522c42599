"""What becomes of files that a disk does not keep."""

import random
from pathlib import Path


def rotten(file: Path) -> None:
    """A Parquet file whose footer is whole, and whose pages are not."""
    whole = file.read_bytes()
    pages = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    file.write_bytes(whole[:4] + random.Random(1).randbytes(pages - 4) + whole[pages:])
