"""Write docs/api.md, the table of all routes, from the app's own registry.

python -m scripts.api_page            write docs/api.md
python -m scripts.api_page --check    fail when docs/api.md is not what it would be
"""

import argparse
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from chalicelib.domain.principals import ROLE_SCOPES, Role
from chalicelib.edge.routes import API, Route

PAGE = Path(__file__).parents[1] / "docs" / "api.md"

HEAD = """# API

Every route there is, written from the app's registry by `python -m scripts.api_page`. The same registry makes the
OpenAPI 3.1 document, which the service gives to anybody at `GET /v1/openapi.json`: bodies, parameters and answers are
described there.

Each route needs exactly one scope, or none when it is public; `docs/identity.md` says which role has which scopes, and
that a role reaches what is its own and nothing else. Problems, entity tags and idempotency are the same everywhere:
`docs/errors.md`. Cases, feeds and agencies are told at length in `docs/api-cases.md`.

- **status** is that of success; a `PUT` to an id that is free answers 201.
- **key** says that the request needs an `Idempotency-Key`.
- **tag** says what becomes of `If-Match`: `needed`; `if known` for a `PUT` that makes what is not there yet.

| method | path | scope | roles | status | key | tag | summary |
|---|---|---|---|---|---|---|---|
"""


def roles_of(route: Route) -> str:
    """Return the roles that have the route's scope, in the order of the table of roles; ``anybody`` for a public one."""
    if route.scope is None:
        return "anybody"
    return ", ".join(role.value for role in Role if route.scope in ROLE_SCOPES[role])


def row_of(route: Route) -> str:
    """Return the route's row of the table, without a line break."""
    tag = "needed" if route.needs_if_match else "if known" if route.method == "PUT" else ""
    cells = (
        route.method,
        f"`{route.path}`",
        f"`{route.scope}`" if route.scope is not None else "none",
        roles_of(route),
        str(route.status),
        "yes" if route.is_idempotent else "",
        tag,
        route.summary.replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |"


def page(routes: Iterable[Route]) -> str:
    """Return the whole page; rows by path, then method."""
    rows = [row_of(route) for route in sorted(routes, key=lambda route: (route.path, route.method))]
    return HEAD + "\n".join(rows) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Write the page, or compare it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.api_page", description="Write docs/api.md.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the page is another one")
    arguments = parser.parse_args(argv)
    # Composing the app is what fills the registry.
    importlib.import_module("app")
    made = page(API)
    if not arguments.check:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == made:
        return 0
    print("docs/api.md is not what the routes say: run python -m scripts.api_page", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
