"""How log lines look: text for people on a terminal, JSON for programs. One event, one line, key and values."""

import logging
import sys

import structlog

from runtime.settings import LogFormat, LogLevel

CHATTER = ("aiokafka.client", "aiokafka.conn", "aiokafka.cluster", "aiokafka.producer", "aiokafka.consumer.fetcher")
"""Loggers that tell of each attempt to reach a broker, many times a second, as an error. What comes of the attempts we tell ourselves."""


def configure(form: LogFormat, level: LogLevel, *, role: str) -> None:
    """Everything goes to standard error, what libraries log included."""
    text = form is LogFormat.TEXT or (form is LogFormat.AUTO and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer()
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
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    if level is not LogLevel.DEBUG:
        for name in CHATTER:
            logging.getLogger(name).setLevel(logging.CRITICAL)
