"""A part of an upload is exactly that part, also from a service that answers with the whole object."""

from io import BytesIO
from typing import Any

import pytest
from botocore.response import StreamingBody

from chalicelib.gateways import uploads

CONTENT = bytes(range(256)) * 40


class WholeObjects:
    """Ignores ranges, as the emulator does for a named version."""

    def get_object(self, **wanted: Any) -> dict[str, Any]:
        return {"Body": StreamingBody(BytesIO(CONTENT), len(CONTENT))}


@pytest.mark.parametrize("start, end", [(0, 10), (10, 300), (255, 257), (4_000, None), (0, None), (10_239, 10_240)])
def test_a_service_that_ignores_the_range_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, start: int, end: int | None
) -> None:
    monkeypatch.setattr(uploads, "client", lambda service: WholeObjects())
    monkeypatch.setattr(uploads, "PIECE", 100)
    pieces = uploads.S3Uploads("bucket").read("key", version="v1", start=start, end=end)
    assert b"".join(pieces) == CONTENT[start:end]
