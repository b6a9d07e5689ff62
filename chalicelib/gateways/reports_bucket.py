"""The bucket of weekly review packs: each file is put whole; a later one of the same week is a new version of it."""

from botocore.exceptions import ClientError

from chalicelib.gateways.clients import client

_ABSENT = frozenset(("NoSuchKey", "404", "NotFound"))


class ReportsBucket:
    """Implements ``PackFiles`` over a versioned bucket."""

    def __init__(self, bucket: str) -> None:
        """Take the bucket's name."""
        self._bucket = bucket

    def write(self, path: str, body: bytes, *, content_type: str) -> None:
        """Put a file."""
        client("s3").put_object(Bucket=self._bucket, Key=path, Body=body, ContentType=content_type)

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, or None where there is none."""
        try:
            answer = client("s3").get_object(Bucket=self._bucket, Key=path)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                return None
            raise
        return bytes(answer["Body"].read())
