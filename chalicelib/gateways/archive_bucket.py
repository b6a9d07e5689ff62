"""The archive's bucket: every object is put once, whole, with its checksum, and locked for years as it is put."""

import base64
import hashlib
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.gateways.clients import client

_STANDS_THERE = frozenset(("PreconditionFailed", "ConditionalRequestConflict", "412", "409"))
_ABSENT = frozenset(("NoSuchKey", "404", "NotFound"))


class S3Archive:
    """Implements ``ArchiveBucket`` over a versioned bucket with Object Lock."""

    def __init__(self, bucket: str) -> None:
        """Take the bucket's name."""
        self._bucket = bucket

    def put_once(self, path: str, body: bytes, *, retain_until: datetime) -> bool:
        """Put an object where there is none; False, and nothing is written, when there is one."""
        return self._put(path, body, retain_until, IfNoneMatch="*")

    def replace(self, path: str, body: bytes, *, tag: str | None, retain_until: datetime) -> bool:
        """Put an object over the version with this tag (None: where there is none); False when another stands there.

        The version before stays, locked as it was.
        """
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        return self._put(path, body, retain_until, **condition)

    def read(self, path: str) -> bytes | None:
        """Return the object's bytes, or None."""
        found = self.read_tagged(path)
        return None if found is None else found[0]

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        """Return the object's bytes with the tag of their version, or None. The checksum is verified on the way."""
        try:
            answer = client("s3").get_object(Bucket=self._bucket, Key=path, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                return None
            raise
        return answer["Body"].read(), answer["ETag"]

    def names(self, prefix: str) -> list[str]:
        """Return the paths that begin so, in order."""
        pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def _put(self, path: str, body: bytes, retain_until: datetime, **condition: Any) -> bool:
        text = path.endswith(("checkpoint", ".vkey")) or "/checkpoints/" in path
        try:
            client("s3").put_object(
                Bucket=self._bucket,
                Key=path,
                Body=body,
                ContentType="text/plain; charset=utf-8" if text else "application/octet-stream",
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
                # Said with each put rather than left to the bucket's default, which anybody may have changed.
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=retain_until,
                **condition,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _STANDS_THERE:
                return False
            raise
        return True
