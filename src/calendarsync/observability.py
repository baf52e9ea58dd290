"""Logs: one JSON object a line, on standard error. Never the contents of a request, an answer or an event."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"

_SECRET_NAMES = re.compile(
    r"password|passwd|secret|token|credential|authorization|cookie|api_?key|signature", re.IGNORECASE
)
# Keys of ours, secrets of webhooks, what stands after an authentication scheme, user names in URLs.
_SECRET_TEXTS = re.compile(
    r"\bcs_(?:live|test)_\w+|\bwhsec_\w+|(?<=Bearer )\S+|(?<=Basic )\S+|(?<=://)[^/@\s]+(?=@)", re.IGNORECASE
)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A net under the rule that nothing secret is logged at all."""
    return {
        name: REDACTED if _SECRET_NAMES.search(name) else _redact_value(value)
        for name, value in event.items()
    }


def _redact_value(value: object) -> object:
    if isinstance(value, str):
        return _SECRET_TEXTS.sub(REDACTED, value)
    if isinstance(value, dict):
        return {
            name: REDACTED if _SECRET_NAMES.search(str(name)) else _redact_value(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redact_value(inner) for inner in value]
    return value


def describe_exception(error: BaseException) -> dict[str, object]:
    """What may be logged of an unexpected error: its kind and where it was raised, never its message.

    Messages quote what was being worked on, such as a value that did not fit.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__qualname__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _without_messages(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event.update(describe_exception(error))
    return event


def _without_objects(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """asyncio tells of tasks and callbacks that failed by their repr, in which the error's message stands."""
    if event.get("logger") == "asyncio":
        event["event"] = re.split(r"[<(\n]", str(event["event"]), maxsplit=1)[0].rstrip()
    return event


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send everything that is logged, by libraries too, to `stream` (default: standard error) as JSON lines."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_messages,
        _without_objects,
        redact,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # the API writes its own line for every request
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
