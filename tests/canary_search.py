"""Where canaries are looked for, and how: every place that data can come to rest in, and a text in each of twelve encodings."""

import base64
import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import quote

import boto3

from chalicelib.store import packing
from chalicelib.store.tables import Record, SubjectKey, View
from tests.conftest import NAMES
from tests.every_route import MARKERS


def _html(text: str) -> bytes:
    return "".join(f"&#{ord(letter)};" for letter in text).encode()


def _escaped(text: str) -> bytes:
    return "".join(f"\\u{ord(letter):04x}" for letter in text).encode()


def _base64(offset: int) -> Callable[[str], bytes]:
    """Return the encoder of what is the same wherever a text stands, when ``offset`` bytes precede it modulo 3."""

    def encode(text: str) -> bytes:
        raw = b"\0" * offset + text.encode()
        whole = base64.b64encode(raw[: len(raw) - len(raw) % 3])
        return whole[-(-offset * 4 // 3) :] if offset else whole

    return encode


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "gb18030": lambda text: text.encode("gb18030"),
    "base64, offset 0": _base64(0),
    "base64, offset 1": _base64(1),
    "base64, offset 2": _base64(2),
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "url": lambda text: quote(text, safe="").encode() if not text.isascii() else _percent(text),
    "json": _escaped,
    "html": _html,
}


def _percent(text: str) -> bytes:
    return "".join(f"%{byte:02X}" for byte in text.encode()).encode()


URL_SAFE = bytes.maketrans(b"-_", b"+/")
Place = tuple[str, bytes]
"""Where something was found to look through, and its bytes."""


def _text_for(name: str, octets: bytes) -> bytes:
    """Return the bytes as an encoding is looked for in them, with what it may be written with made one.

    URL-safe base64 is base64; hexadecimal digits of escapes are large or small; and JSON that is told in JSON, however often,
    has more backslashes.
    """
    if name.startswith("base64"):
        return octets.translate(URL_SAFE)
    if name in ("json", "url"):
        return re.sub(rb"\\{2,}", rb"\\", octets).lower()
    return octets


def _found(octets: bytes, markers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (marker, encoding) of every canary in the bytes."""
    for name, encode in ENCODINGS.items():
        text = _text_for(name, octets)
        for marker in markers:
            needle = encode(marker)
            if (needle.lower() if name in ("json", "url") else needle) in text:
                yield marker, name


def hits(place: str, octets: bytes, markers: Sequence[str] = MARKERS) -> list[tuple[str, str, str]]:
    """Return (place, marker, encoding) of every canary in the bytes."""
    return [(place, *found) for found in _found(octets, markers)]


def found_in(places: Iterable[Place], markers: Sequence[str] = MARKERS) -> Counter[tuple[str, str, str]]:
    """Count the hits of the markers in many places.

    All that differs is searched as one text first, which takes a tenth of the time; only what a hit is in is looked at place
    by place. A hit across the seam of two places is none.
    """
    told = list(places)
    if not hits("all", b"\0\n\0".join({octets for _, octets in told}), markers):
        return Counter()
    return Counter(hit for place, octets in told for hit in hits(place, octets, markers))


def in_the_tables() -> Iterator[Place]:
    """Yield every attribute of every item, and what compressed bodies unpack to."""
    for model in (Record, View, SubjectKey):
        for item in model.scan():
            for name, value in item.attribute_values.items():
                octets = value if isinstance(value, bytes) else str(value).encode()
                yield f"{model.__name__}.{name}", octets
                for unpacked in unpackings(octets):
                    yield f"{model.__name__}.{name}, unpacked", unpacked


def unpackings(octets: bytes) -> Iterator[bytes]:
    """Yield what the bytes hold in either form in which bodies are packed."""
    for unpack, fault in ((zlib.decompress, zlib.error), (packing.unpack, ValueError)):
        try:
            yield unpack(octets)
        except fault:
            continue


def in_the_queues() -> Iterator[Place]:
    """Yield every message on every queue."""
    sqs = boto3.client("sqs")
    for url in sqs.list_queues().get("QueueUrls", []):
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                yield url.rsplit("/", 1)[1], json.dumps(message, ensure_ascii=False).encode()
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def in_the_buckets(*kinds: str) -> Iterator[Place]:
    """Yield every object of the buckets, and what lies in those that are ZIP files."""
    s3 = boto3.client("s3")
    for kind in kinds:
        bucket = getattr(NAMES, f"{kind}_bucket")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for told in page.get("Contents", []):
                body = s3.get_object(Bucket=bucket, Key=told["Key"])["Body"].read()
                yield f"{kind}/{told['Key']}", body
                if zipfile.is_zipfile(io.BytesIO(body)):
                    with zipfile.ZipFile(io.BytesIO(body)) as packed:
                        yield from ((f"{kind}/{told['Key']}!/{name}", packed.read(name)) for name in packed.namelist())
