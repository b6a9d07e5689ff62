"""The sample lender's own witness, which is ``scripts.witness`` by the local clock, and the policy that names it."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from chalicelib.domain.audit.notes import NoteKey, type_of
from scripts import witness

NAME = "witness.anxing.example.com/w1"


def start(home: Path, spki: Sequence[bytes], *, log: str, port: int, now: Callable[[], datetime]) -> Path:
    """Serve the witness in a thread of its own, and return the file with the policy that names it.

    ``spki`` are the keys (DER) that sign the log of that name; the logs of other years under the same keys are watched as well.
    """
    if not (home / "state.json").exists():
        witness.init(home, NAME)
    keys = [NoteKey(log, type_of(each), each).vkey for each in spki]
    it = witness.Witness(home, [witness.LogKey(key) for key in keys], each_year=True, seconds=lambda: now().timestamp())
    server = witness.serve(it, port=port)
    threading.Thread(target=server.serve_forever, name="witness", daemon=True).start()
    policy = home / "policy"
    lines = [
        "# Who must have seen the sample's log: the lender, by a witness of its own.",
        *(f"log {key}" for key in keys),
    ]
    lines += [f"witness lender {it.signer.vkey} http://127.0.0.1:{server.server_port}", "quorum lender"]
    policy.write_text("\n".join(lines) + "\n")
    return policy
