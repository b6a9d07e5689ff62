"""Measure what one delivered message costs the main table, in write units, step by step.

    python -m scripts.bench_write_units            # sms, e-mail and WeChat in China, sms and e-mail in the United States

Sums the sizes of the items that the real use cases write to an AWS in process, by DynamoDB's published formulas: a write
is one unit each KiB begun of the larger of the item before and after, in a transaction two; a condition on an item that
is not written costs as much as writing it; a row of an index one unit to add and one to take away.
"""

import argparse
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib import import_module
from typing import Any
from unittest import mock

from chalicelib.domain.outreach.approval import ApprovalSigner, verify
from chalicelib.domain.outreach.carrying import Accepted

KIB = 1024


@dataclass
class Cost:
    """Write units of one step: by item, as (item, bytes, units), and what the due index took."""

    writes: list[tuple[str, int, int]] = field(default_factory=list)
    index: int = 0

    @property
    def units(self) -> int:
        """Return the write units of the table itself."""
        return sum(units for _, _, units in self.writes)


class Meter:
    """Adds up what is written to DynamoDB while it listens; knows an item's size from its last write."""

    def __init__(self, table: str) -> None:
        """Start with an empty table of that name; what is written to other tables is left out."""
        self.steps: dict[str, Cost] = {}
        self.step = ""
        self._table = table
        self._items: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}

    @contextmanager
    def listening(self) -> Iterator["Meter"]:
        """Count every write that goes out through pynamodb."""
        from pynamodb.connection import Connection

        call = Connection._make_api_call

        def counted(connection: Any, operation: str, kwargs: dict[str, Any], *rest: Any, **more: Any) -> Any:
            answer = call(connection, operation, kwargs, *rest, **more)
            self.take(operation, kwargs)
            return answer

        with mock.patch.object(Connection, "_make_api_call", counted):
            yield self

    def take(self, operation: str, kwargs: Mapping[str, Any]) -> None:
        """Add what one call of the API writes."""
        if operation == "PutItem":
            self._put(kwargs, times=1)
        for action in kwargs.get("TransactItems", ()) if operation == "TransactWriteItems" else ():
            if "Put" in action:
                self._put(action["Put"], times=2)
            elif "ConditionCheck" in action:
                self._check(action["ConditionCheck"])
            else:
                raise ValueError(f"no formula for {list(action)}")

    def _put(self, put: Mapping[str, Any], *, times: int) -> None:
        if put["TableName"] != self._table:
            return
        item = put["Item"]
        key = (item["pk"]["S"], item["sk"]["S"])
        before, due_before = self._items.get(key, (0, ()))
        size, due = item_bytes(item), tuple(item[name]["S"] for name in ("due_shard", "due_at") if name in item)
        self._items[key] = (size, due)
        cost = self.steps.setdefault(self.step, Cost())
        cost.writes.append((_name(key), size, times * -(-max(size, before) // KIB)))
        if due != due_before:
            cost.index += bool(due) + bool(due_before)

    def _check(self, check: Mapping[str, Any]) -> None:
        if check["TableName"] != self._table:
            return
        key = (check["Key"]["pk"]["S"], check["Key"]["sk"]["S"])
        size = self._items.get(key, (0, ()))[0]
        self.steps.setdefault(self.step, Cost()).writes.append(
            (f"check of {_name(key)}", size, 2 * max(1, -(-size // KIB)))
        )


def item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Return an item's size: names and values in UTF-8, binary as it is (not its Base64), a number about its digits."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    (kind, content), *rest = value.items()
    if rest or kind not in ("S", "N", "B"):
        raise ValueError(f"no formula for an attribute of type {kind}")
    if kind == "N":
        return len(content.strip("-").strip("0")) // 2 + 2
    if kind == "S":
        return len(content.encode())
    return len(content) if isinstance(content, bytes) else len(content.rstrip("=")) * 3 // 4


def _name(key: tuple[str, str]) -> str:
    pk, sk = key
    return f"{pk.split('#')[2].lower() if '#' in pk[2:] else 'lender'} event" if sk.startswith("EV#") else sk.lower()


WAYS = {
    "sms, China": ("CN", "cn-sms-demand", "sms"),
    "e-mail, China": ("CN", "cn-email-demand", "email"),
    "WeChat, China": ("CN", "cn-wechat-demand", "wechat"),
    "sms, United States": ("US", "us-sms-later", "sms"),
    "e-mail, United States": ("US", "us-email-later", "email"),
}
"""What is measured: the country of the case, the template and its channel."""

CASE, PERSON = "case_5d41402abc4b2a76b9719d911017c592", "per_7b52009b64fd0a2a49e6d8a939753077"
"""Ids as long as real ones."""

_PROVIDERS = {"sms": "sns", "email": "ses", "wechat": "wechat"}


def life(store: Any, meter: Meter, way: str) -> None:
    """Let one message live through its five steps, by the real use cases, packs and sealing; ten contacts came before."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    from chalicelib import wiring
    from chalicelib.domain.outreach.provider_events import ProviderEvent
    from chalicelib.usecases import compliance, dispatch, messages, provider_events
    from chalicelib.usecases.messages import Wish

    builders: Any = import_module("tests.builders")

    country, template, channel = WAYS[way]
    now = builders.NOW if country == "CN" else builders.NOW.replace(hour=18)
    scope, clock = builders.Scope(builders.LENDER), _clock(now)
    with meter.listening():
        _on_file(store, country, template, now)
    meter.steps.clear()
    root = ec.generate_private_key(ec.SECP256R1())
    key_id = "arn:aws:kms:eu-west-1:123456789012:key/2f1c7f0e-9f5f-4c53-9f0a-0d7e1a3b5c6d"
    signer = ApprovalSigner(lambda message: root.sign(message, ec.ECDSA(hashes.SHA256())), root_key_id=key_id)

    class Carries:
        def send(self, outbound: Any) -> Accepted:
            return Accepted(_PROVIDERS[channel], "8f0e7c1c-2f0b-5d2a-9f0a-3c7e1a5b6c7d")

    def step(name: str, work: Callable[[], Any]) -> Any:
        meter.step = name
        return work()

    message = "msg_0192f5d4a7b87c3e9d10a1b2c3d4e5f6"
    wish = Wish(channel, template, {}, None, None, None, None)
    who: dict[str, Any] = {
        "org": builders.AGENCY,
        "collector": builders.COLLECTOR,
        "human": False,
        "actor": builders.TEST_ACTOR,
    }
    with meter.listening():
        step(
            "request",
            lambda: messages.request_message(
                store, scope, CASE, wish, message_id=message, now=clock(), req="req_0192f5d4a7b87c3e", **who
            ),
        )
        ruled = step(
            "decide",
            lambda: compliance.check(
                store, wiring.engine(), signer, scope, message,
                clock=clock, refresh=messages.refresh_content, req="req_0192f5d4a7b87c3f",
            ),
        )  # fmt: skip
        if ruled.state != "approved":
            raise RuntimeError(f"{way} was {ruled.state}: {ruled.reason}")

        def verified(approval: Any, **expected: Any) -> Any:
            return verify(approval, root=root.public_key(), **expected)

        def settled_apart(*args: Any, **kwargs: Any) -> Any:
            meter.step = "settle"
            return settle(*args, **kwargs)

        settle = dispatch.settle
        with mock.patch.object(dispatch, "settle", settled_apart):
            sent = step(
                "claim",
                lambda: dispatch.dispatch(
                    store, {channel: Carries()}, verified, scope, message, clock=clock, req="req_0192f5d4a7b87c40"
                ),
            )
        report = ProviderEvent(
            provider=_PROVIDERS[channel], kind="delivered", dedup_id="d1", contact=message, provider_id=sent.provider_id
        )
        step(
            "delivery report",
            lambda: provider_events.settle_delivery(store, scope, report, clock=clock, req="req_0192f5d4a7b87c41"),
        )


def _clock(start: datetime) -> Callable[[], datetime]:
    seconds = itertools.count()
    return lambda: start + timedelta(seconds=next(seconds))


def _on_file(store: Any, country: str, template: str, now: datetime) -> None:
    """Put a borrower on file who was contacted ten times in the months before and has agreed to every channel."""
    from chalicelib.domain.cases.case import CaseParty, Notice
    from chalicelib.domain.instants import to_seconds_text
    from chalicelib.domain.people.person import ConsentEntry, ContactEntry, Residence

    b: Any = import_module("tests.builders")

    american = country == "US"
    zones = ("America/Chicago",) if american else ("Asia/Shanghai",)
    values = {"pt_1": ("mobile", "+13122345678"), "pt_e": ("email", "jane@example.test"), "pt_w": ("wechat", "wm1")}
    points = tuple(
        b.a_point(id=name, kind=kind, value=value, zones=zones, area_zones=zones)
        for name, (kind, value) in values.items()
    )
    home = Residence(country="US", region="US-IL") if american else Residence(country="CN", region="CN-SH")
    facts: dict[str, Any] = {"id": PERSON, "points": points, "zones": zones, "residences": (home,)}
    told = Notice(kind="outsourcing_notice", at="2026-03-01T02:00:00Z", party=PERSON)
    facts_of_case: dict[str, Any] = {
        "id": CASE,
        "parties": (CaseParty(person=PERSON, role="debtor"),),
        "notices": (told,),
    }

    if american:
        facts["language"] = "en"
        notice = Notice(kind="validation", at="2026-03-02T18:00:00Z", medium="letter", party=PERSON, debt=CASE)
        facts_of_case |= {"country": "US", "region": "US-IL", "language": "en", "currency": "USD"}
        facts_of_case |= {"product": "retail_instalment", "notices": (notice,)}
    lender = b.a_lender(
        pay_to={country: f"{b.a_lender().name['zh']} 尾号0001" if country == "CN" else "official desk"},
        zone=zones[0],
        country=country,
    )
    history = tuple(
        ContactEntry(
            id=f"msg_0192f5d4a7b87c3e9d10a1b2c3d4e5{n:02d}", at=to_seconds_text(now - timedelta(days=20 + 5 * n)),
            direction="out", channel="sms", purpose="demand", party=PERSON, point="pt_1", org=b.AGENCY,
            collector=b.COLLECTOR, debts=(CASE,), outcome="delivered",
        )
        for n in range(10)
    )  # fmt: skip
    consents = tuple(
        ConsentEntry(
            at=to_seconds_text(now - timedelta(days=3)), party=PERSON, point=point, medium=medium, event=event,
            direct=True,
        )
        for point, medium in (("pt_1", "sms"), ("pt_e", "email"), ("pt_w", "wechat"))
        for event in ("granted", "used")
    )  # fmt: skip
    collector = b.a_collector(certified=dict.fromkeys(("CN", "US"), date(2026, 12, 31)))
    ledger = b.a_ledger(person=PERSON, history=history, consents=consents)
    b.stored(
        store,
        lender,
        b.an_agency(),
        collector,
        b.a_person(**facts),
        ledger,
        b.a_case(**facts_of_case),
        *b.approved(template),
    )


def measure(ways: Iterable[str]) -> dict[str, Meter]:
    """Return the meter of each way, every one over fresh tables in an AWS in process."""
    from moto import mock_aws

    from chalicelib.gateways.region_keys import KmsDataKeys
    from chalicelib.store.repository import Store
    from chalicelib.store.sealing import Sealer

    conftest: Any = import_module("tests.conftest")

    found = {}
    for way in ways:
        with mock.patch.dict(os.environ, conftest.ENVIRONMENT), mock_aws(), conftest.in_process():
            store = Store(Sealer(KmsDataKeys(conftest.NAMES.data_key)), audit_domain="forbear.test")
            found[way] = Meter(conftest.NAMES.table)
            life(store, found[way], way)
    return found


def main() -> None:
    """Print, for each way, the write units of each step, item by item, and their sum."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for way, meter in measure(WAYS).items():
        print(f"{way}: {sum(cost.units for cost in meter.steps.values())} write units, and "
              f"{sum(cost.index for cost in meter.steps.values())} of the due index")  # fmt: skip
        for name, cost in meter.steps.items():
            items = ", ".join(f"{item} {size} B = {units}" for item, size, units in cost.writes)
            print(f"  {name:16}{cost.units:3} + {cost.index}   {items}")


if __name__ == "__main__":
    main()
