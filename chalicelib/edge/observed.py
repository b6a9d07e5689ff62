"""Logs and metrics of every function: JSON lines with listed fields only, so that nothing personal can slip in.

A queue, stream or schedule handler written in a Blueprint is deployed as its own module and runs no middleware of the
app. So observation is a decorator of its own, under Chalice's: ``@bp.on_sqs_message(...)`` above ``@observed``.
"""

import functools
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

SERVICE = "forbear"
"""Also the name of the Chalice app, so that Chalice's own lines go through the same formatter."""

LOG_FIELDS = frozenset(
    {
        "level",
        "message",
        "timestamp",
        "service",
        "location",
        "xray_trace_id",
        "sampling_rate",
        "function",
        "request_id",
        "error",
        "at",
        "code",
        "status",
        "method",
        "route",
        "milliseconds",
        "cold_start",
        "key",
        "projection",
        "queue",
        "count",
        "attempt",
        "failed",
        "tenant",
        "case",
        "contact",
        "portfolio",
        "event_id",
        "event_type",
        "rule",
        "outcome",
    }
)
"""Everything that a log line may carry; what is not listed is dropped. Ids and codes only, no text of a person."""

_TEXT_LIMIT = 200
_Handler = TypeVar("_Handler", bound=Callable[..., Any])
_cold = True


class ListedFields(LambdaPowertoolsFormatter):
    """Formats a line from the listed fields. An exception becomes its type and place: its text may quote a value."""

    def serialize(self, log: Any) -> str:
        """Return the JSON line: listed fields, plain values, each text cut at 200 characters."""
        line = {name: _plain(value) for name, value in log.items() if name in LOG_FIELDS}
        if "exception_name" in log:
            line.setdefault("error", log["exception_name"])
            frames = (log.get("stack_trace") or {}).get("frames") or [{}]
            line.setdefault("at", _place(frames[-1].get("file", "?"), frames[-1].get("line", 0)))
        # Escaped to ASCII: no character of a value can end the line for any reader.
        return json.dumps(line, separators=(",", ":"))


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str | date):
        return str(value)[:_TEXT_LIMIT]
    return f"<{type(value).__name__}>"


def location(error: BaseException) -> str:
    """Return ``file.py:line`` where the exception was raised, without any value."""
    frames = traceback.extract_tb(error.__traceback__)
    return _place(frames[-1].filename, frames[-1].lineno or 0) if frames else "?"


def _place(filename: str, line: int) -> str:
    return f"{PurePath(filename).name}:{line}"


class _PresentStdout(logging.StreamHandler[Any]):
    """Writes to what stdout is at the time, not to what it was when the logger was made."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stdout


@functools.cache
def logger() -> Logger:
    """Return the process's logger."""
    formatter = ListedFields(utc=True, use_rfc3339=True, log_record_order=["level", "message", "timestamp"])
    return Logger(service=SERVICE, logger_formatter=formatter, logger_handler=_PresentStdout())


@functools.cache
def metrics() -> Metrics:
    """Return the process's metrics; ``observed`` and the view decorator write them out after each invocation."""
    return Metrics(namespace="Forbear", service=SERVICE)


def observed(handler: _Handler) -> _Handler:
    """Log the end of each invocation (never the event), count it, and log a failure by type and place.

    What the handler raises goes on to the runtime, which then delivers the event again or sets it aside.
    """

    @functools.wraps(handler)
    def observing(event: Any, *rest: Any) -> Any:
        name = handler.__name__
        context = getattr(event, "context", None)
        _begin(name, getattr(context, "aws_request_id", None))
        started = time.perf_counter()
        try:
            answer = handler(event, *rest)
        except Exception as error:
            _end(name, started, failed=error)
            raise
        _end(name, started)
        return answer

    return observing  # type: ignore[return-value]


def _begin(name: str, request_id: str | None) -> None:
    global _cold
    logger().append_keys(function=name, request_id=request_id, cold_start=_cold)
    _cold = False


def _end(name: str, started: float, *, failed: Exception | None = None) -> None:
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    if failed is None:
        logger().info("done", extra={"milliseconds": milliseconds})
    else:
        fields = {"error": type(failed).__name__, "at": location(failed), "milliseconds": milliseconds}
        logger().error("failed", extra=fields)
    count(name, "Failures" if failed else "Invocations", 1)
    metrics().add_metric(name="Duration", unit=MetricUnit.Milliseconds, value=milliseconds)
    metrics().flush_metrics()
    metrics().clear_metrics()


def count(function: str, name: str, value: float) -> None:
    """Add to a count metric of a function; written out at the end of the invocation."""
    metrics().add_dimension(name="function", value=function)
    metrics().add_metric(name=name, unit=MetricUnit.Count, value=value)


def record_request(
    function: str, *, request_id: str, method: str, route: str, status: int, milliseconds: float
) -> None:
    """Log one HTTP request by its route, never its path, and write its metrics."""
    fields = {"method": method, "route": route, "status": status, "milliseconds": milliseconds}
    logger().info("request", extra={**fields, "function": function, "request_id": request_id})
    count(function, f"Status{status // 100}xx", 1)
    metrics().add_metric(name="Duration", unit=MetricUnit.Milliseconds, value=milliseconds)
    metrics().flush_metrics()
    metrics().clear_metrics()
