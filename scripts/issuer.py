"""A local OIDC issuer: ``python -m scripts.issuer [--port PORT]`` serves discovery and keys on loopback.

The key lives in ``.local/issuer/`` and is made at the first use, so that ``scripts.token`` can sign without a running
issuer. It is for development only: whoever can read the folder can be anybody.
"""

import argparse
import base64
import hashlib
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = Path(__file__).resolve().parents[1] / ".local" / "issuer"
PORT = 8401
AUDIENCE = "forbear-api"


def issuer_url(port: int = PORT) -> str:
    """Return the issuer's name: ``FORBEAR_OIDC_ISSUER`` where it is set, else its loopback address."""
    return os.environ.get("FORBEAR_OIDC_ISSUER", f"http://127.0.0.1:{port}")


def signing_key(folder: Path = FOLDER) -> Ed25519PrivateKey:
    """Return the issuer's key, made and kept (readable by its owner only) at the first use."""
    path = folder / "key.pem"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        draft = folder / f"key.{os.getpid()}.pem"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made)
        try:
            # A link is made only where nothing is: of two processes that start together one key stays.
            os.link(draft, path)
        except FileExistsError:
            print("another process made the key first; using that one", file=sys.stderr)
        finally:
            draft.unlink()
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is no Ed25519 key")
    return key


def public_jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    """Return the public key as a JWK; its id is its RFC 7638 thumbprint."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    needed = {"crv": "Ed25519", "kty": "OKP", "x": _urlsafe(raw)}
    thumbprint = hashlib.sha256(json.dumps(needed, sort_keys=True, separators=(",", ":")).encode()).digest()
    return {**needed, "use": "sig", "alg": "EdDSA", "kid": _urlsafe(thumbprint)}


def documents(key: Ed25519PrivateKey, url: str) -> dict[str, dict[str, Any]]:
    """Return what the issuer serves, by path."""
    return {
        "/.well-known/openid-configuration": {
            "issuer": url,
            "jwks_uri": f"{url}/jwks.json",
            "id_token_signing_alg_values_supported": ["EdDSA"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
        },
        "/jwks.json": {"keys": [public_jwk(key)]},
    }


def serve(key: Ed25519PrivateKey, *, port: int = PORT) -> ThreadingHTTPServer:
    """Return a server bound to loopback; the caller runs ``serve_forever`` and closes it. Port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        # Headers and body in one packet: apart, the second waits until the first was acknowledged, some 40 ms.
        wbufsize = -1

        server: ThreadingHTTPServer

        def do_GET(self) -> None:
            document = documents(key, issuer_url(self.server.server_port)).get(self.path)
            body = json.dumps(document if document is not None else {"error": "not_found"}).encode()
            self.send_response(404 if document is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "public, max-age=300")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a request for public keys tells nothing."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m scripts.issuer", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help="loopback port (default: %(default)s)")
    port = parser.parse_args(arguments).port
    server = serve(signing_key(), port=port)
    print(f"issuer {issuer_url(port)}, keys at http://127.0.0.1:{server.server_address[1]}/jwks.json", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped")
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
