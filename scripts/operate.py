"""The operator's own commands on a stage, which no caller of the API has: ``python -m scripts.operate <command> --help``.

They work with the functions' environment (``FORBEAR_*``, ``AWS_REGION``) and the rights of whoever runs them, and each is an event of
the lender's log, with the operator's id. Exit status: 0 it is so now, 1 it could not be done, 2 it was not understood.
"""

import argparse
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from chalicelib import wiring
from chalicelib.domain.audit.notes import Malformed
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.events import Actor
from chalicelib.domain.ids import is_id
from chalicelib.settings import OtherRegion


def set_witnesses(asked: argparse.Namespace) -> str:
    """Say who must have seen the lender's logs from now on, and return what is so now in a sentence."""
    from chalicelib.usecases import cosigning

    text = "quorum none\n" if asked.none else asked.policy.read_text(encoding="utf-8")
    known = cosigning.set_policy(
        wiring.store(),
        wiring.worker_scope(asked.lender),
        text,
        actor=Actor("user", asked.by, "operator"),
        now=wiring.now(),
        req=f"req_{uuid.uuid4().hex}",
    )
    return f"The logs of {asked.lender} are shown to the witnesses of policy {known.version} from the next note on."


def new_key(asked: argparse.Namespace) -> str:
    """Make the next version of the lender's key and return in a sentence which one it is."""
    from chalicelib.usecases import key_versions

    version = key_versions.rotate(
        wiring.store(),
        wiring.worker_scope(asked.lender),
        expected=asked.after,
        actor=Actor("user", asked.by, "operator"),
        now=wiring.now(),
        req=f"req_{uuid.uuid4().hex}",
    )
    return (
        f"Version {version} of the key of {asked.lender} wraps the keys of persons who come from now on (within ten minutes in running "
        "functions). Older versions stay for the persons before; no id and no index moves."
    )


def main(argv: list[str] | None = None) -> int:
    """Carry out one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.operate", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)
    witnesses = commands.add_parser("witnesses", help="set the policy of witnesses of a lender's logs")
    told = witnesses.add_mutually_exclusive_group(required=True)
    told.add_argument(
        "--policy", type=Path, metavar="FILE", help="in the form of tlog-policy, with the witnesses' addresses"
    )
    told.add_argument("--none", action="store_true", help="nobody is asked any more")
    witnesses.set_defaults(act=set_witnesses)
    key = commands.add_parser("new-key", help="make the next version of a lender's key, for persons who come after it")
    key.add_argument(
        "--after", type=int, required=True, help="the newest version there is, so that a repeated command does nothing"
    )
    key.set_defaults(act=new_key)
    for command in (witnesses, key):
        command.add_argument("--lender", required=True, help="the lender's id")
        command.add_argument("--by", default=os.environ.get("USER", "operator"), help="the operator's id, for the log")
    asked = parser.parse_args(argv)
    if not is_id(asked.by) or not is_id(asked.lender):
        print("Ids are 1 to 80 letters, digits, underscores and dashes.", file=sys.stderr)
        return 2
    return _carried_out(asked.act, asked)


def _carried_out(act: Callable[[argparse.Namespace], str], asked: argparse.Namespace) -> int:
    try:
        print(act(asked))
    except NotFound:
        print(f"There is no lender {asked.lender} on this stage.", file=sys.stderr)
        return 1
    except StateConflict as refused:
        print(f"Nothing was changed: {refused.detail}.", file=sys.stderr)
        return 1
    except Malformed as refused:
        print(f"This is no policy: {refused}.", file=sys.stderr)
        return 1
    except (OSError, UnicodeDecodeError):
        print("The policy's file cannot be read.", file=sys.stderr)
        return 1
    except (ValidationError, KeyError, OtherRegion) as error:
        print(f"The environment does not name a stage: {type(error).__name__}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
