"""What a process of ours logs, told by whoever started it, in the way in which that tells its own."""

import sys
from typing import Any

import msgspec
import structlog

log = structlog.get_logger()
_LEVELS = frozenset({"debug", "info", "warning", "error"})


def to_stderr() -> None:
    """From now on, each event of this process is a line of JSON on standard error, for `from_stderr`."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def from_stderr(written: bytes) -> list[str]:
    """Tells the events; answers the lines that are none, as of a traceback."""
    others = []
    for line in written.decode("utf-8", "replace").splitlines():
        try:
            tell(msgspec.json.decode(line, type=dict[str, Any]))
        except (msgspec.DecodeError, KeyError):
            others.append(line)
    return others


def tell(event: dict[str, Any]) -> None:
    """One event. Raises KeyError where it is none."""
    level, name = event.pop("level"), event.pop("event")
    getattr(log, level if level in _LEVELS else "error")(name, **event)
