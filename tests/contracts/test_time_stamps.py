"""Hourly time stamps: asked over HTTP, kept beside the note, verified offline; an authority that fails stops nothing."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from chalicelib.domain.audit.log import LogName, TimeUnavailable
from chalicelib.domain.events import EventType
from chalicelib.gateways.time_stamps import stamper
from chalicelib.usecases.archive import enqueue_events, run_archive
from scripts import verify_archive
from tests import archives
from tests.archive_fakes import MemoryAudit, MemoryBucket, memory_ports
from tests.archives import TENANT, Story
from tests.time_authority import TimeAuthority

NOW = datetime.now().astimezone().replace(microsecond=0) - timedelta(seconds=5)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimeAuthority:
    return TimeAuthority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def served(authority: TimeAuthority) -> Iterator[tuple[str, list[str]]]:
    """Return the address of the authority, and how it is to answer."""
    mood = ["well"]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            told = authority.answer(asked) if mood[0] == "well" else mood[0].encode()
            self.send_response(503 if mood[0] == "down" else 200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", mood
    server.shutdown()
    thread.join()
    server.server_close()


def entered(audit: MemoryAudit, number: int) -> None:
    story = Story()
    story.emit(f"case_{number}", EventType.CASE_PLACED, {"n": number}, NOW)
    assert enqueue_events(audit, story.events) == []


def test_the_note_is_stamped_with_the_log_and_every_hour_and_the_stamp_verifies(
    served: tuple[str, list[str]], authority: TimeAuthority, tmp_path: Path
) -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    ports = memory_ports(audit, bucket, stamp=stamper(served[0]))
    told = []
    for number, minutes in enumerate((0, 5, 10, 60, 65)):
        entered(audit, number)
        told.append(run_archive(ports, now=NOW + timedelta(minutes=minutes))[0]["stamped"])
    assert told == [True, None, None, True, None]
    folder = bucket.download(tmp_path / "archive")
    (tmp_path / "key.pem").write_bytes(archives.pem(archives.ED25519))
    root = verify_archive.x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    keys = [verify_archive.Key(str(tmp_path / "key.pem"))]
    report = verify_archive.verify(folder, verify_archive.Asked(keys, authority=root))
    # The clock of this log runs an hour ahead of the authority's: that, and nothing else, is what shows.
    assert {code for code, _, _ in report.faults} <= {"ahead_of_anchor"}
    assert report.counts["time stamps"] == 2


@pytest.mark.parametrize("mood", ["down", "no stamp", ""])
def test_an_authority_that_fails_stops_nothing(mood: str, served: tuple[str, list[str]]) -> None:
    served[1][0] = mood
    audit, bucket = MemoryAudit(), MemoryBucket()
    entered(audit, 1)
    (run,) = run_archive(memory_ports(audit, bucket, stamp=stamper(served[0])), now=NOW)
    assert (run["published"], run["stamped"]) == (True, False)
    prefix = LogName(TENANT, str(NOW.year)).prefix
    assert bucket.read(f"{prefix}checkpoint") and not [path for path in bucket.objects if "anchors" in path]


def test_nobody_listening_is_unavailable_and_plain_http_is_refused() -> None:
    with pytest.raises(TimeUnavailable):
        stamper("http://127.0.0.1:1/")(b"note")
    for url in ("http://tsa.example/", "ftp://127.0.0.1/", "tsa"):
        with pytest.raises(ValueError, match="HTTPS"):
            stamper(url)
