"""Clients of the emulator. Its credentials are no secret: it listens on loopback only."""

from functools import cache
from typing import Any

REGION = "us-east-1"
ACCOUNT = "000000000000"


@cache
def client(service: str, endpoint: str) -> Any:
    """Return the client of a service at this endpoint; made once, and safe for threads."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=3, read_timeout=320)
    session = boto3.session.Session(ACCOUNT, "test", region_name=REGION)
    return session.client(service, endpoint_url=endpoint, config=config)
