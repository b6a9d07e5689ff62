"""Where a lender's data lie: its home region decides the name of every resource, and who serves it.

A stage in one region and account is a cell: tables, buckets, queues, keys and topics of its own, and nothing that reaches another.
A lender belongs to the cell of its home region for ever (PIPL art. 38-40: what leaves the country needs a legal path).
"""

import re
from dataclasses import dataclass

from chalicelib.domain.errors import Misdirected

STAGE_PATTERN = r"[a-z][a-z0-9-]{0,15}"
REGION_PATTERN = r"(?:us|eu|ap|ca|sa|me|af|il|mx|cn)(?:-gov)?-[a-z]+-[0-9]"
"""Regions of the partitions for everybody, China and US GovCloud; isolated ones have other services and are not supported."""


@dataclass(frozen=True, slots=True)
class ResourceNames:
    """Every resource of a cell by its name; a bucket, a queue's URL and a topic's ARN carry the region."""

    region: str
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
    archive_key_ed25519: str
    archive_key_p256: str
    inbound_topic: str
    provider_events_topic: str
    alarms_topic: str


def resource_names(*, region: str, stage: str, account: str) -> ResourceNames:
    """Return the names of a cell's resources; no other input decides one.

    Keys are aliases, which a region resolves to its own key. ``queue_url_prefix`` is followed by a queue's short name. Raises
    ValueError for what is no region of a known partition, no stage or no account.
    """
    if not re.fullmatch(REGION_PATTERN, region):
        raise ValueError(f"{region!r} is no region that this is made for")
    if not re.fullmatch(STAGE_PATTERN, stage) or not re.fullmatch(r"[0-9]{12}", account):
        raise ValueError("a stage is 1 to 16 small letters, digits and dashes, an account has 12 digits")
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    own = f"forbear-{stage}"
    topic = f"arn:{partition}:sns:{region}:{account}:{own}"
    return ResourceNames(
        region=region,
        table=f"{own}-record",
        views_table=f"{own}-view",
        keys_table=f"{own}-subject-key",
        uploads_bucket=f"{own}-uploads-{account}-{region}",
        letters_bucket=f"{own}-letters-{account}-{region}",
        reports_bucket=f"{own}-reports-{account}-{region}",
        archive_bucket=f"{own}-archive-{account}-{region}",
        exports_bucket=f"{own}-exports-{account}-{region}",
        queue_url_prefix=f"https://sqs.{region}.{suffix}/{account}/{own}-",
        data_key=f"alias/{own}-data",
        approval_key=f"alias/{own}-approval",
        archive_key_ed25519=f"alias/{own}-archive-ed25519",
        archive_key_p256=f"alias/{own}-archive-p256",
        inbound_topic=f"{topic}-inbound",
        provider_events_topic=f"{topic}-provider-events",
        alarms_topic=f"{topic}-alarms",
    )


def require_home(home: str | None, here: str) -> None:
    """Let pass a lender that is at home in the region ``here``, and one that is not known (None).

    Raises Misdirected, which names regions and no data.
    """
    if home is not None and home != here:
        raise Misdirected(home)
