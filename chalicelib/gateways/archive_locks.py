"""Locks in the archive's bucket: what is there, what is hidden, how each version is locked, and for longer."""

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.domain.audit.keeping import Lock, Version, VersionPage
from chalicelib.gateways.clients import client

_REFUSED = frozenset(("AccessDenied", "InvalidRequest", "InvalidArgument", "MalformedXML", "MethodNotAllowed"))
_MODE = "COMPLIANCE"


class S3Locks:
    """Implements ``LockedBucket`` over a versioned bucket with Object Lock."""

    def __init__(self, bucket: str) -> None:
        """Take the bucket's name."""
        self._bucket = bucket

    def versions(self, prefix: str, *, after: tuple[str, str] | None, limit: int) -> VersionPage:
        """Return up to ``limit`` versions and delete markers under the prefix, from after a (key, version id) on.

        ``hidden`` are the markers that are their key's newest version: a plain read of such a key finds nothing.
        """
        place = {} if after is None else {"KeyMarker": after[0], "VersionIdMarker": after[1]}
        answer = client("s3").list_object_versions(Bucket=self._bucket, Prefix=prefix, MaxKeys=limit, **place)
        found = [Version(each["Key"], each["VersionId"], each["LastModified"]) for each in answer.get("Versions", ())]
        hidden = [(each["Key"], each["VersionId"]) for each in answer.get("DeleteMarkers", ()) if each["IsLatest"]]
        following = None
        if answer.get("IsTruncated"):
            following = (answer["NextKeyMarker"], answer.get("NextVersionIdMarker") or "null")
        return VersionPage(found, hidden, following)

    def lock_of(self, key: str, version_id: str) -> Lock:
        """Return how the version is locked; another mode than compliance is no lock."""
        answer = client("s3").head_object(Bucket=self._bucket, Key=key, VersionId=version_id)
        until = answer.get("ObjectLockRetainUntilDate") if answer.get("ObjectLockMode") == _MODE else None
        return Lock(until, answer.get("ObjectLockLegalHoldStatus") == "ON")

    def extend(self, key: str, version_id: str, until: datetime) -> bool:
        """Lock the version until then, in compliance mode; False when the service refuses."""
        retention = {"Mode": _MODE, "RetainUntilDate": until}
        return _granted("put_object_retention", Bucket=self._bucket, Key=key, VersionId=version_id, Retention=retention)

    def hold(self, key: str, version_id: str, *, on: bool) -> bool:
        """Put a legal hold on the version or take it off; False when the service refuses."""
        hold = {"Status": "ON" if on else "OFF"}
        return _granted("put_object_legal_hold", Bucket=self._bucket, Key=key, VersionId=version_id, LegalHold=hold)


def _granted(call: str, **arguments: Any) -> bool:
    try:
        getattr(client("s3"), call)(**arguments)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _REFUSED:
            return False
        raise
    return True
