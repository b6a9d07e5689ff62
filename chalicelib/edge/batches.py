"""Batches of queue messages: each record on its own, failures named, so that only they come back."""

import json
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, SqsFifoPartialProcessor
from aws_lambda_powertools.utilities.batch import process_partial_response as partial_response
from chalice.app import SQSEvent

from chalicelib.edge.observed import location, logger

Handle = Callable[[dict[str, Any], str], object]
"""Handles one message body under a request id."""


def consume(event: SQSEvent, handle: Handle) -> dict[str, Any]:
    """Hand every body to ``handle`` and return the ``batchItemFailures`` of those that raised."""
    return _consume(event, handle, BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False))


def consume_in_order(event: SQSEvent, handle: Handle) -> dict[str, Any]:
    """Like ``consume`` for a FIFO queue: after a failure the rest of that message group is given back untried."""
    processor = SqsFifoPartialProcessor(skip_group_on_error=True)
    processor.raise_on_entire_batch_failure = False
    return _consume(event, handle, processor)


def _consume(event: SQSEvent, handle: Handle, processor: BatchProcessor) -> dict[str, Any]:
    def record_handler(record: Any) -> object:
        try:
            return handle(json.loads(record.body), f"req_{record.message_id}")
        except Exception as error:
            # The processor only counts it; without this line nobody would learn why a message comes back.
            extra = {"error": type(error).__name__, "at": location(error), "key": record.message_id}
            logger().error("message failed", extra=extra)
            raise

    context: Any = event.context
    return dict(
        partial_response(event=event.to_dict(), record_handler=record_handler, processor=processor, context=context)
    )
