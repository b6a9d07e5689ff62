"""The local cloud's authority of time: its stamps are read by openssl and by the verifier, and tell the local clock."""

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.audit.log import TimeUnavailable
from chalicelib.gateways.time_stamps import stamper
from scripts import verify_archive
from scripts.cloud.processes import free_port
from scripts.cloud.time_authority import TimeAuthority, serve

AT = datetime(2026, 11, 24, 3, 4, 5, 120_000, tzinfo=UTC)
MESSAGE = b"a note\n"


@pytest.fixture
def authority(tmp_path: Path) -> TimeAuthority:
    return TimeAuthority(tmp_path / "tsa", now=lambda: AT)


@pytest.fixture
def url(authority: TimeAuthority) -> Iterator[str]:
    port = free_port()
    server = serve(authority, port=port)
    yield f"http://127.0.0.1:{port}/"
    server.shutdown()
    server.server_close()


def read(token: bytes, authority: TimeAuthority, message: bytes = MESSAGE) -> datetime:
    root = verify_archive.x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    return verify_archive.stamped_at(token, message, root)


def test_a_stamp_tells_the_local_clocks_instant(url: str, authority: TimeAuthority) -> None:
    assert read(stamper(url)(MESSAGE), authority) == AT.replace(microsecond=0)


def test_openssl_verifies_the_stamp_of_this_message_and_of_no_other(
    url: str, authority: TimeAuthority, tmp_path: Path
) -> None:
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "other").write_bytes(MESSAGE + b"x")
    (tmp_path / "it.tsr").write_bytes(stamper(url)(MESSAGE))
    # Its own request carries a nonce, which the answer must bring back.
    ask = ["openssl", "ts", "-query", "-data", str(tmp_path / "message"), "-sha256", "-cert"]
    query = subprocess.run(ask, capture_output=True, check=True).stdout
    (tmp_path / "own.tsq").write_bytes(query)
    (tmp_path / "own.tsr").write_bytes(authority.answer(query))
    # The certificates are in force on the machine's day as well.
    verify = ["openssl", "ts", "-verify", "-CAfile", str(authority.certificate)]
    for more, holds in (
        (["-data", "message", "-in", "it.tsr"], True),
        (["-data", "other", "-in", "it.tsr"], False),
        (["-queryfile", "own.tsq", "-in", "own.tsr"], True),
        (["-queryfile", "own.tsq", "-in", "it.tsr"], False),
    ):
        assert (subprocess.run([*verify, *more], cwd=tmp_path, capture_output=True).returncode == 0) is holds, more


def test_a_second_start_has_the_same_root_and_other_serial_numbers(authority: TimeAuthority, tmp_path: Path) -> None:
    before = authority.certificate.read_bytes()
    again = TimeAuthority(tmp_path / "tsa", now=lambda: AT + timedelta(hours=1))
    assert again.certificate.read_bytes() == before
    stranger = TimeAuthority(tmp_path / "other", now=lambda: AT)
    query = bytes.fromhex("30390201013031300d060960864801650304020105000420") + bytes(32) + b"\x01\x01\xff"
    with pytest.raises(verify_archive.NO_STAMP):
        read(stranger.answer(query), authority, b"x")
    assert authority.answer(query) != authority.answer(query)


@pytest.mark.parametrize("what", [b"", b"\x30", b"\x30\x03\x02\x01\x02", b"\x30\x80", b"x" * 100])
def test_what_is_no_request_is_refused(authority: TimeAuthority, what: bytes) -> None:
    assert authority.answer(what) == bytes.fromhex("30053003020102")


def test_over_http_a_refusal_is_no_stamp(url: str, authority: TimeAuthority, monkeypatch: Any) -> None:
    for headers, body in (
        ({"Content-Type": "text/plain"}, b"x"),
        ({"Content-Type": "application/timestamp-query"}, b""),
    ):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5)
    monkeypatch.setattr(authority, "answer", lambda _: bytes.fromhex("30053003020102"))
    with pytest.raises(TimeUnavailable):
        stamper(url)(MESSAGE)
