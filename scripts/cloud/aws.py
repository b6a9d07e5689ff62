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


def environment(endpoint: str, *, stage: str) -> dict[str, str]:
    """Return what a program needs in its environment to work as the cloud's functions do, from outside of them."""
    config = client("lambda", endpoint).get_function_configuration(FunctionName=f"forbear-{stage}-api_handler")
    return {
        **config["Environment"]["Variables"],
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def log_keys(endpoint: str, *, stage: str) -> list[bytes]:
    """Return the public keys (DER) that sign the stage's logs, as the key service gives them."""
    names = (f"alias/forbear-{stage}-archive-{kind}" for kind in ("ed25519", "p256"))
    return [bytes(client("kms", endpoint).get_public_key(KeyId=name)["PublicKey"]) for name in names]
