"""Builds the real ports, each once a process and on first use; tests build their own."""

from datetime import datetime
from functools import cache

from chalicelib.gateways import clock
from chalicelib.gateways.queues import SqsQueues
from chalicelib.gateways.region_keys import KmsDataKeys
from chalicelib.settings import region, settings
from chalicelib.store import tables
from chalicelib.store.repository import Store
from chalicelib.store.sealing import Sealer


def now() -> datetime:
    """Return the present instant (UTC): the clock service's in the local cloud, the machine's elsewhere."""
    return clock.served_now(settings().clock_url) if settings().clock_url else clock.system_now()


@cache
def store() -> Store:
    """Return the repository over the stage's tables."""
    tables.connect(settings(), region=region())
    return Store(Sealer(KmsDataKeys(settings().data_key)), audit_domain=settings().audit_domain)


@cache
def queues() -> SqsQueues:
    """Return the stage's queues."""
    return SqsQueues(settings().queue_url_prefix)
