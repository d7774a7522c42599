"""How log lines look: text for people on a terminal, JSON for programs. One event, one line, key and values."""

import logging
import sys

import structlog

from runtime.settings import LogFormat, LogLevel

CHATTER = ("aiokafka",)
"""Loggers that tell of each attempt to reach a broker, many times a second, as an error. What comes of the attempts we tell ourselves."""

SELDOM_S, REMEMBERED = 10.0, 1024


def is_text(form: LogFormat) -> bool:
    """Whether people read it."""
    return form is LogFormat.TEXT or (form is LogFormat.AUTO and sys.stderr.isatty())


def configure(form: LogFormat, level: LogLevel, *, role: str) -> None:
    """Everything goes to standard error, what libraries log included."""
    text = is_text(form)
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback) if text else structlog.processors.JSONRenderer()
    )
    # Not rich's tracebacks, which show what variables hold: a caller's key may be among it.
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer] if not text else [*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared
        )
    )
    handler.addFilter(Seldom())
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    if level is not LogLevel.DEBUG:
        hush()


def hush() -> None:
    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class Seldom(logging.Filter):
    """What a library says again and again is said once in a while, with how often: a broker that is away earns a hundred lines a second."""

    def __init__(self, every_s: float = SELDOM_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = record.name, str(record.msg)
        last, unsaid = self._said.get(key, (-self._every_s, 0))
        if record.created - last < self._every_s:
            self._said[key] = last, unsaid + 1
            return False
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said[key] = record.created, 0
        if unsaid:
            record.msg = f"{record.msg} (and {unsaid} times before)"
        return True
