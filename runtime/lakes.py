"""What goes wrong with a lake, told to the operator."""

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.settings import Misconfigured
from storage.lake import LakeUnreachable
from storage.migration import LakeTooNew


@contextmanager
def lake_opened() -> Iterator[None]:
    """Whoever opens a lake within the block: a fault of it is the operator's to mend. Raises Misconfigured."""
    try:
        yield
    except (LakeTooNew, LakeUnreachable) as error:
        raise Misconfigured(str(error)) from error
