"""A double of an authority of time (RFC 3161) that stamps by the local cloud's clock.

The certificates are made at the first start and kept; ``root.pem`` is what a verifier is given. A stamp is a CMS message
(RFC 5652) over a TSTInfo, signed with ECDSA on P-256, as ``openssl ts -verify`` and this project's verifier read it. No tool that
makes such stamps can be told the time, and the local clock stands on the day of the sample, so the few structures are
written here.
"""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FROM, TO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
MOST_REQUEST_BYTES = 4_096

_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"
_SHA256 = bytes.fromhex("0609608648016503040201")
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")
_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_SIGNING_CERTIFICATE_V2 = bytes.fromhex("060b2a864886f70d010910022f")
_POLICY = bytes.fromhex("06042a030401")
_INTEGER, _OCTETS, _TIME, _SEQUENCE, _SET = 0x02, 0x04, 0x18, 0x30, 0x31
_GRANTED, _REFUSED = b"\x30\x03\x02\x01\x00", b"\x30\x05\x30\x03\x02\x01\x02"


class TimeAuthority:
    """Stamps digests with the instant that its clock tells; ``certificate`` is the file that verifiers are given."""

    def __init__(self, home: Path, *, now: Callable[[], datetime]) -> None:
        """Take the folder of keys and certificates, made at the first use, and the clock."""
        self.certificate, self._now, self._lock = home / "root.pem", now, threading.Lock()
        signer = home / "signer.pem"
        if not signer.exists():
            _make(home, self.certificate, signer)
        told = signer.read_bytes()
        key = serialization.load_pem_private_key(told, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{signer} holds another kind of key")
        self._key, self._signer = key, x509.load_pem_x509_certificate(told)
        self._serial = int(now().timestamp() * 1_000)

    def answer(self, request: bytes) -> bytes:
        """Return the response to a request; a refusal when it is not one for SHA-256."""
        try:
            imprint, nonce = _asked(request)
        except (ValueError, IndexError):
            return _REFUSED
        with self._lock:
            self._serial += 1
            serial = self._serial
        info = _tst_info(imprint, nonce, serial, self._now().astimezone(UTC))
        return _der(_SEQUENCE, _GRANTED, self._token(info))

    def _token(self, info: bytes) -> bytes:
        certificate = self._signer.public_bytes(serialization.Encoding.DER)
        # Which certificate signs is signed as well (RFC 5816); its digest is SHA-256, which is not said.
        signing = _der(_SEQUENCE, _der(_SEQUENCE, _der(_SEQUENCE, _der(_OCTETS, sha256(certificate).digest()))))
        attributes = [
            _der(_SEQUENCE, _CONTENT_TYPE, _der(_SET, _TST_INFO)),
            _der(_SEQUENCE, _MESSAGE_DIGEST, _der(_SET, _der(_OCTETS, sha256(info).digest()))),
            _der(_SEQUENCE, _SIGNING_CERTIFICATE_V2, _der(_SET, signing)),
        ]
        signed = b"".join(sorted(attributes))
        signature = self._key.sign(_der(_SET, signed), ec.ECDSA(hashes.SHA256()))
        issuer = self._signer.issuer.public_bytes()
        signer = _der(
            _SEQUENCE,
            _integer(1),
            _der(_SEQUENCE, issuer, _integer(self._signer.serial_number)),
            _der(_SEQUENCE, _SHA256),
            _der(0xA0, signed),
            _ECDSA_SHA256,
            _der(_OCTETS, signature),
        )
        content = _der(
            _SEQUENCE,
            _integer(3),
            _der(_SET, _der(_SEQUENCE, _SHA256)),
            _der(_SEQUENCE, _TST_INFO, _der(0xA0, _der(_OCTETS, info))),
            _der(0xA0, certificate),
            _der(_SET, signer),
        )
        return _der(_SEQUENCE, _SIGNED_DATA, _der(0xA0, content))


def serve(authority: TimeAuthority, *, port: int) -> ThreadingHTTPServer:
    """Serve on loopback in a thread of its own and return the server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one packet: apart, the second waits until the first was acknowledged, some 40 ms.
        wbufsize = -1

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if self.headers.get("Content-Type") != _QUERY or not 0 < length <= MOST_REQUEST_BYTES:
                self.close_connection = True
                self._send(400, b"")
            else:
                self._send(200, authority.answer(self.rfile.read(length)))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", _REPLY)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep quiet: what was stamped lies beside the notes."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="time-authority", daemon=True).start()
    return server


def _asked(request: bytes) -> tuple[bytes, bytes]:
    """Return imprint and nonce (whole elements, the nonce empty when there is none) of a TimeStampReq."""
    ((tag, content, _),) = _elements(request)
    (version, (kind, imprint, whole), *rest) = _elements(content)
    if tag != _SEQUENCE or version[:2] != (_INTEGER, b"\x01") or kind != _SEQUENCE:
        raise ValueError("this is no request")
    (algorithm, digest) = _elements(imprint)
    if not algorithm[1].startswith(_SHA256) or digest[0] != _OCTETS or len(digest[1]) != 32:
        raise ValueError("stamped are SHA-256 digests")
    return whole, b"".join(each for tag, _, each in rest if tag == _INTEGER)


def _tst_info(imprint: bytes, nonce: bytes, serial: int, at: datetime) -> bytes:
    # DER has no zeros at the end of a fraction, and no point without one.
    fraction = f".{at.microsecond // 1_000:03d}".rstrip("0").rstrip(".")
    time = _der(_TIME, f"{at:%Y%m%d%H%M%S}{fraction}Z".encode())
    accuracy = _der(_SEQUENCE, _integer(1))
    return _der(_SEQUENCE, _integer(1), _POLICY, imprint, _integer(serial), time, accuracy, nonce)


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _elements(raw: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return (tag, content, whole) of each element in a row. Raises ValueError, IndexError."""
    found, place = [], 0
    while place < len(raw):
        begin, tag, length = place, raw[place], raw[place + 1]
        place += 2
        if length > 127:
            count = length & 127
            length, place = int.from_bytes(raw[place : place + count], "big"), place + count
        if place + length > len(raw):
            raise ValueError("the bytes end early")
        found.append((tag, raw[place : place + length], raw[begin : place + length]))
        place += length
    return found


def _make(home: Path, root_file: Path, signer_file: Path) -> None:
    """Make a root and a signer for stamps that it certifies; the root's key is not kept."""
    home.mkdir(parents=True, exist_ok=True)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _named("local time root (double)"), _named("local time (double)")
    root = (
        _certificate(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    signer = (
        _certificate(name, root_name, key.public_key())
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    root_file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    fresh = signer_file.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key.private_bytes(*form) + signer.public_bytes(serialization.Encoding.PEM))
    # Last, and whole: where it stands, the root that goes with it stands as well.
    os.replace(fresh, signer_file)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(FROM).not_valid_after(TO)
