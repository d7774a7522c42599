"""What one question may cost, by the settings: for the query port, and for whoever reads the lake without it."""

from runtime.settings import Settings
from storage.query import Limits


def limits_of(chosen: Settings) -> Limits:
    """What a question may cost."""
    asked = chosen.query
    return Limits(
        timeout_s=asked.timeout_s,
        rows=asked.rows,
        result_bytes=asked.memory_bytes // 4,
        memory_bytes=asked.memory_bytes,
        at_once=asked.at_once,
    )
