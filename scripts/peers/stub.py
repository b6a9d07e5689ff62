"""A DynamoDB that answers one GetItem with one item, over HTTP on loopback, to time the client and nothing else."""

import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = b'{"Item":{"pk":{"S":"case"},"sk":{"S":"CASE"},"v":{"N":"7"},"body":{"B":"' + b"QUJD" * 90 + b'"}}}'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer whatever is asked."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.send_header("x-amz-crc32", str(zlib.crc32(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the line instead of printing it."""
        self.last_line = format % args


def main() -> int:
    """Serve on a free port, which is printed, until the process is ended."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
