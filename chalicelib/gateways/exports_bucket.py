"""The bucket that exports of the archive lie in for a week: written in parts, read back once, downloaded by a link."""

import hashlib
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.domain.audit.packing import UploadGone
from chalicelib.gateways.clients import client

PIECE = 1024**2


class S3Exports:
    """Implements ``ExportedFiles`` over one bucket."""

    def __init__(self, bucket: str) -> None:
        """Take the bucket's name."""
        self._bucket = bucket

    def begin(self, key: str) -> str:
        """Begin an object that comes in parts and return the upload's id."""
        answer = client("s3").create_multipart_upload(Bucket=self._bucket, Key=key, ContentType="application/zip")
        return str(answer["UploadId"])

    def put_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        """Put a part, over the one that was put before under its number, and return its tag. Raises UploadGone."""
        s3 = client("s3")
        try:
            answer = s3.upload_part(Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
        except ClientError as error:
            if _code(error) != "NoSuchUpload":
                raise
            raise UploadGone from error
        return str(answer["ETag"])

    def complete(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """Make the object of its parts; done again it changes nothing. Raises UploadGone when there is neither."""
        s3 = client("s3")
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
        try:
            s3.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except ClientError as error:
            if _code(error) != "NoSuchUpload":
                raise
            # A worker before this one came so far; without its object the upload was cancelled.
            try:
                s3.head_object(Bucket=self._bucket, Key=key)
            except ClientError as missing:
                if _code(missing) not in ("404", "NoSuchKey"):
                    raise
                raise UploadGone from error

    def digest(self, key: str) -> tuple[str, int]:
        """Return (SHA-256 in hex, bytes) of the object as it lies there."""
        seen, count = hashlib.sha256(), 0
        for piece in client("s3").get_object(Bucket=self._bucket, Key=key)["Body"].iter_chunks(PIECE):
            seen.update(piece)
            count += len(piece)
        return seen.hexdigest(), count

    def write(self, key: str, body: bytes) -> None:
        """Put an object."""
        client("s3").put_object(Bucket=self._bucket, Key=key, Body=body)

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        return bytes(client("s3").get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def link(self, key: str, *, name: str, seconds: int) -> str:
        """Return an address under which whoever has it may download the object, as a file of that name, for so long."""
        asked: dict[str, Any] = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{name}"',
        }
        return str(client("s3").generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
