"""The uploads bucket: presigned forms that let a lender put exactly one object, ranged reads, converted chunks."""

import base64
from collections.abc import Iterator
from typing import Any

from chalicelib.domain.intake.portfolio import Found
from chalicelib.gateways.clients import client

PIECE = 256 * 1024
FORM_SECONDS = 300


class S3Uploads:
    """One bucket, read by version, so that what was scanned is what is loaded."""

    def __init__(self, bucket: str) -> None:
        """Take the bucket's name."""
        self._bucket = bucket

    def form(self, key: str, *, content_type: str, most_bytes: int, sha256: str | None) -> dict[str, Any]:
        """Return ``{"url", "fields"}`` of a POST form for this one key, type and size, good for five minutes."""
        fields = {"Content-Type": content_type}
        if sha256 is not None:
            fields["x-amz-checksum-algorithm"] = "SHA256"
            fields["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        conditions.append(["content-length-range", 1, most_bytes])
        form: dict[str, Any] = client("s3").generate_presigned_post(
            self._bucket, key, Fields=fields, Conditions=conditions, ExpiresIn=FORM_SECONDS
        )
        return form

    def read(self, key: str, *, version: str | None, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes ``start`` to ``end`` (half-open; None is the end) of an object's version in pieces."""
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        if version is not None:
            wanted["VersionId"] = version
        if start or end is not None:
            wanted["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        answer = client("s3").get_object(**wanted)
        body = answer["Body"]
        # A service that ignores the range answers with the whole object; rows must not be loaded twice because of that.
        pieces = body.iter_chunks(PIECE)
        if "Range" in wanted and "ContentRange" not in answer:
            pieces = _part(pieces, start, end)
        try:
            yield from pieces
        finally:
            body.close()

    def newest(self, key: str) -> Found | None:
        """Return the object's newest version, None when there is no such object; the role may list the bucket."""
        s3 = client("s3")
        try:
            head = s3.head_object(Bucket=self._bucket, Key=key)
        except s3.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            return None
        return Found(version=head.get("VersionId"))

    def write(self, key: str, body: bytes, *, content_type: str) -> None:
        """Put an object; the same key is written with the same bytes whenever a command is repeated."""
        client("s3").put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)


def _part(pieces: Iterator[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """Yield the bytes ``start`` to ``end`` (half-open) of what comes in pieces from 0 on."""
    at = 0
    for piece in pieces:
        if end is not None and at >= end:
            return
        part = piece[max(0, start - at) : None if end is None else end - at]
        at += len(piece)
        if part:
            yield part
