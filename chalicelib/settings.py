"""Settings: the only place that reads the environment, on first use and never at import."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.residency import REGION_PATTERN, ResourceNames, resource_names


class Settings(BaseModel):
    """What a stage is told; each comes from one environment variable. No name of a resource is told, see ``names``.

    A variable that is absent raises ``pydantic.ValidationError`` naming the field, at the first use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    account: str
    queue_url_prefix: str = ""
    audit_domain: str
    time_authority_url: str = ""
    oidc_issuer: str
    oidc_audience: str
    oidc_jwks_url: str
    sender_email: str
    wechat_url: str
    wechat_corp_id: str = "forbear-local"
    wechat_secret: str = "local-double"
    wechat_account: str = "kf-forbear"
    ses_configuration_set: str = ""
    clock_url: str = ""
    public_url: str = ""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once from the ``FORBEAR_*`` environment variables."""
    known = {name: os.environ[variable] for name, variable in _variables() if variable in os.environ}
    elsewhere = names_elsewhere(known, os.environ.get("AWS_REGION", ""))
    if elsewhere:
        raise OtherRegion(elsewhere)
    return Settings(**known)


@lru_cache(maxsize=1)
def names() -> ResourceNames:
    """Return the names of every resource that this process may touch: those of its stage in the region that it runs in.

    Only the local cloud says what its queues' URLs begin with. Raises ValueError for a stage, account or region that is none.
    """
    known = settings()
    made = resource_names(region=region(), stage=known.stage, account=known.account)
    return replace(made, queue_url_prefix=known.queue_url_prefix) if known.queue_url_prefix else made


class OtherRegion(Exception):
    """A setting names a resource of another region than this process runs in: a lender's data stay in one region."""

    def __init__(self, names: list[str]) -> None:
        """Name the settings, never their values."""
        super().__init__(f"of another region: {', '.join(names)}")


_REGION = re.compile(rf"(?<![a-z0-9]){REGION_PATTERN}(?![a-z0-9])")


def names_elsewhere(values: Mapping[str, str], home: str) -> list[str]:
    """Return the names of those settings whose value names an AWS region other than ``home``; none without a home."""
    return [name for name, value in values.items() if home and any(found != home for found in _REGION.findall(value))]


def stage_queue(name: str) -> str:
    """Return the full name of a queue of this stage; decorators need it when the package is built, before any setting."""
    return f"forbear-{os.environ.get('FORBEAR_STAGE', 'local')}-{name}"


def region() -> str:
    """Return the region that this process runs in. Raises KeyError when the runtime did not say."""
    return os.environ["AWS_REGION"]


def _variables() -> list[tuple[str, str]]:
    return [(name, f"FORBEAR_{name.upper()}") for name in Settings.model_fields]
