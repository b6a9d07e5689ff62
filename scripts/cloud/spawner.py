"""Starts the functions' processes by copying one that has read the package's libraries already.

On AWS an environment is made from nothing for each function, or from a snapshot (SnapStart). Here sixteen functions share
two cores, and most of a process's start was the same second of reading the same libraries. So one process for each package
reads what every function needs and nothing that depends on who asks: no entry of a function, no setting, no client. Each
function's process is a copy of it (``fork``) with an environment, a folder and pipes of its own. That each handler can be
imported in a process of its own is what ``tests/contracts/test_package.py`` shows.

Linux only; elsewhere, and when the first process is gone, processes are started in the ordinary way.
"""

import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

READ_BEFORE = (
    "boto3",
    "botocore.session",
    "chalice.app",
    "cryptography.hazmat.primitives.serialization",
    "pydantic",
    "pynamodb.models",
    "aws_lambda_powertools",
    "chalicelib.wiring",
    "chalicelib.gateways.oidc",
)
"""What is read once: libraries, and rooms of the service that read the environment on first use and never at import."""

ROUTES = "chalicelib/edge/*_api.py"
"""Also read once: the routes, most of what the API's own function takes to start. Other edges ask for the stage's name."""

SERVICES = ("dynamodb", "kms", "s3", "sesv2", "sns", "sqs")
"""The services that functions call."""

_MOST_BYTES = 1024 * 1024


class Spawner:
    """Stands for ``subprocess`` where the emulator starts functions; one first process for each unpacked package."""

    PIPE = subprocess.PIPE
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: dict[Path, _First | None] = {}

    def Popen(
        self, command: list[str], *, cwd: str, env: dict[str, str], **rest: Any
    ) -> "Forked | subprocess.Popen[str]":
        """Start a function's process; ``command`` is an interpreter and a program."""
        forked = self._fork(command, cwd, env) if command[0] == sys.executable else None
        return subprocess.Popen(command, cwd=cwd, env=env, **rest) if forked is None else forked

    def close(self) -> None:
        """End the first processes; copies that run go on, and from now on each process is started by itself."""
        with self._lock:
            for first in filter(None, self._first.values()):
                first.line.close()
                first.process.wait()
            self._first = dict.fromkeys(self._first)

    def _fork(self, command: list[str], cwd: str, env: dict[str, str]) -> "Forked | None":
        place = Path(cwd).resolve()
        if not hasattr(os, "pidfd_open") or not (place / "chalicelib").is_dir():
            return None
        with self._lock:
            if place not in self._first:
                self._first[place] = _begin(place)
            first = self._first[place]
            if first is None:
                return None
            theirs, ours = _pipes()
            try:
                asked = json.dumps({"program": command[1], "folder": cwd, "environment": env}).encode()
                socket.send_fds(first.line, [len(asked).to_bytes(4, "big")], theirs)
                first.line.sendall(asked)
                told, handles, _, _ = socket.recv_fds(first.line, 16, 1)
            except OSError:
                told, handles = b"", []
            finally:
                for number in theirs:
                    os.close(number)
            if not told or not handles:
                self._first[place] = None
                for number in ours:
                    os.close(number)
                return None
        return Forked(int(told), handles[0], ours)


class Forked:
    """A copy, with as much of ``subprocess.Popen`` as the emulator uses. Its status is not told: it is another's child."""

    def __init__(self, pid: int, handle: int, pipes: tuple[int, int, int]) -> None:
        self.pid, self._handle = pid, handle
        self.stdin = os.fdopen(pipes[0], "w", buffering=1, encoding="utf-8")
        self.stdout, self.stderr = (os.fdopen(number, "r", encoding="utf-8") for number in pipes[1:])
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return None while it runs, -1 afterwards."""
        if self.returncode is None and select.select([self._handle], [], [], 0)[0]:
            self.returncode = -1
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        if self.returncode is None and not select.select([self._handle], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("function", timeout or 0)
        self.returncode = -1
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # The handle cannot be of another process, as a number that was given anew could.
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def __del__(self) -> None:
        os.close(self._handle)


def _pipes() -> tuple[list[int], tuple[int, int, int]]:
    """Return the function's ends of standard input, output and error, and ours."""
    (in_read, in_write), (out_read, out_write), (error_read, error_write) = os.pipe(), os.pipe(), os.pipe()
    return [in_read, out_write, error_write], (in_write, out_read, error_read)


class _First(NamedTuple):
    """The first process of a package, and the line on which it is asked for copies; it ends when that is closed."""

    process: subprocess.Popen[bytes]
    line: socket.socket


def _begin(place: Path) -> _First | None:
    """Start the first process of a package; return None when it could not read its libraries."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, __file__, str(theirs.fileno()), str(place)]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    if ours.recv(1) == b".":
        return _First(process, ours)
    ours.close()
    process.wait()
    return None


def serve(listener: socket.socket, place: Path) -> None:
    """Read the libraries, then make a copy for each request until the other side is gone."""
    # This folder holds modules of ours that a function must not find.
    sys.path[0] = str(place)
    routes = [f"chalicelib.edge.{path.stem}" for path in sorted(place.glob(ROUTES))]
    for name in (*READ_BEFORE, *routes):
        importlib.import_module(name)
    _read_descriptions()
    if threading.active_count() > 1:
        raise RuntimeError("a library started a thread, which a copy would not have")
    gc.collect()
    gc.freeze()
    # Copies are told of by their handles; nobody waits for them here.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener.sendall(b".")
    while True:
        head, pipes, _, _ = socket.recv_fds(listener, 4, 3)
        if len(head) < 4:
            return
        length = int.from_bytes(head, "big")
        asked = b""
        while len(asked) < length:
            more = listener.recv(min(_MOST_BYTES, length - len(asked)))
            if not more:
                return
            asked += more
        begun, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            listener.close()
            os.close(told)
            _become(json.loads(asked), pipes, begun)
        os.close(begun)
        handle = os.pidfd_open(pid)
        try:
            socket.send_fds(listener, [str(pid).encode()], [handle])
        finally:
            # The copy waits until its handle was made, so that the number was not given to another.
            os.close(told)
            for number in (*pipes, handle):
                os.close(number)


def _read_descriptions() -> None:
    """Read what the SDK knows of the services once, for all sessions of all copies; no session and no client is kept."""
    import botocore.session

    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    for service in SERVICES:
        botocore.session.get_session().create_client(
            service, region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
        ).close()


def _become(asked: dict[str, Any], pipes: list[int], begun: int) -> NoReturn:
    """Run the program in this copy as if it had been started by itself."""
    status = 1
    try:
        os.read(begun, 1)
        os.close(begun)
        for target, number in enumerate(pipes):
            os.dup2(number, target)
            os.close(number)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(asked["environment"])
        time.tzset()
        os.chdir(asked["folder"])
        sys.argv = [asked["program"]]
        program = compile(Path(asked["program"]).read_text(encoding="utf-8"), asked["program"], "exec")
        exec(program, {"__name__": "__main__", "__file__": asked["program"]})
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        # The process ends below without Python's own last words.
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
