"""An authority of time (RFC 3161) on this machine, made and run by openssl."""

import subprocess
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = local
[local]
serial = {folder}/serial
signer_cert = {folder}/signer.pem
certs = {folder}/root.pem
signer_key = {folder}/signer.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
accuracy = secs:1
ordering = yes
"""


class TimeAuthority:
    """Answers requests for time stamps; ``certificate`` is what its clients know of it."""

    def __init__(self, folder: Path) -> None:
        """Make a root and a signer, both on P-256."""
        self._folder = folder
        self.certificate = folder / "root.pem"
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
        (folder / "signer.ext").write_text(
            "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n"
        )
        made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -keyout root.key -out root.pem"
        self._openssl(*made.split(), "-subj", "/CN=local time root")
        made = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout signer.key -out signer.csr"
        self._openssl(*made.split(), "-subj", "/CN=local time")
        made = "x509 -req -in signer.csr -CA root.pem -CAkey root.key -set_serial 2 -days 3650 -extfile signer.ext"
        self._openssl(*made.split(), "-out", "signer.pem")

    def answer(self, request: bytes) -> bytes:
        """Return the response to a request."""
        (self._folder / "request.tsq").write_bytes(request)
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "request.tsq", "-out", "answer.tsr")
        return (self._folder / "answer.tsr").read_bytes()

    def stamp(self, message: bytes) -> bytes:
        """Return the response to a request for this message."""
        (self._folder / "message").write_bytes(message)
        self._openssl("ts", "-query", "-data", "message", "-sha256", "-cert", "-out", "own.tsq")
        return self.answer((self._folder / "own.tsq").read_bytes())

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=30)
