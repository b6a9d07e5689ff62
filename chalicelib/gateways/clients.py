"""One boto3 session a process, and one client a service, made on first use."""

from functools import cache
from typing import Any


@cache
def client(service: str, *, retries: bool = True) -> Any:
    """Return the process's boto3 client of a service.

    ``retries=False`` gives the client for calls that must happen at most once: a retried time-out is a second send.
    """
    import boto3
    from botocore.config import Config

    attempts = {"mode": "standard", "max_attempts": 4} if retries else {"mode": "standard", "total_max_attempts": 1}
    # Links to S3 and forms for it are otherwise signed in an older way, whose age no bucket policy can bound.
    more = {"signature_version": "s3v4"} if service == "s3" else {}
    config = Config(retries=attempts, connect_timeout=3, read_timeout=20, **more)
    return _session(boto3).client(service, config=config)


@cache
def _session(boto3: Any) -> Any:
    return boto3.session.Session()
