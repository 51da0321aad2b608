"""Structured logs: one JSON object a line on stderr, masked."""

import logging
import sys
from collections.abc import Iterable

import structlog

from shared.redaction import RedactingFilter, Redactor

Log = structlog.typing.FilteringBoundLogger


def configure(level: str = "INFO", secrets: Iterable[str | None] = ()) -> Redactor:
    """Sets up structlog and the standard library's logging for this process; call it once, at its start.

    Returns the redactor, so that a secret read later can be registered with it.
    """
    redactor = Redactor(secret for secret in secrets if secret)
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redactor,
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    handler.addFilter(RedactingFilter(redactor))
    # It says how many requests wait for a thread, at every request that does.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    return redactor


def get(**context: object) -> Log:
    """A logger that carries the context into each of its lines."""
    logger: Log = structlog.get_logger()
    return logger.bind(**context)
