"""Settings: the only place that reads the environment, on first use and never at import."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Names of every resource that a function may touch; each comes from one environment variable.

    A variable that is absent raises ``pydantic.ValidationError`` naming the field, at the first use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    table: str
    views_table: str
    keys_table: str
    uploads_bucket: str
    letters_bucket: str
    reports_bucket: str
    archive_bucket: str
    exports_bucket: str
    queue_url_prefix: str
    data_key: str
    approval_key: str
    archive_key_ed25519: str = ""
    archive_key_p256: str = ""
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


class OtherRegion(Exception):
    """A setting names a resource of another region than this process runs in: a lender's data stay in one region."""

    def __init__(self, names: list[str]) -> None:
        """Name the settings, never their values."""
        super().__init__(f"of another region: {', '.join(names)}")


_REGION = re.compile(r"(?<![a-z0-9])(?:us|eu|ap|ca|sa|me|af|il|mx|cn)(?:-gov|-iso[a-z]?)?-[a-z]+-[0-9](?![a-z0-9])")


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
