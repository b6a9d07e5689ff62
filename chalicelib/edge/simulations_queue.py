"""``run_simulation``: plans a simulation and compares its chunks; safe to repeat."""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.edge.batches import consume
from chalicelib.edge.observed import observed
from chalicelib.settings import stage_queue
from chalicelib.usecases import simulations

bp = Blueprint(__name__)


@bp.on_sqs_message(queue=stage_queue("simulations"), batch_size=1)
@observed
def run_simulation(event: SQSEvent) -> dict[str, Any]:
    """Plan the simulation, or compare the chunk, of each message; stop in time to write down what is done."""
    context: Any = event.context
    return consume(
        event,
        lambda body, req: simulations.work(
            wiring.simulation_ports(),
            body,
            clock=wiring.now,
            seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
            req=req,
        ),
    )
