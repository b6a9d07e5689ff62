"""Builds the real ports, each once a process and on first use; tests build their own."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from chalicelib.domain.events import Event
from chalicelib.domain.outreach.approval import ApprovalSigner, Invalid, Valid, verify
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.principals import TenantScope, system_scope
from chalicelib.gateways import clock
from chalicelib.gateways.approval_keys import KmsApprovalRoot
from chalicelib.gateways.queues import SqsQueues
from chalicelib.gateways.region_keys import KmsDataKeys
from chalicelib.settings import region, settings
from chalicelib.store import tables
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.kpi_repository import KpiRepository
from chalicelib.store.repository import Store
from chalicelib.store.sealing import Sealer
from chalicelib.usecases import cases, compliance, dispatch, feeds, kpis, messages, projections
from chalicelib.usecases.due import Handler
from chalicelib.usecases.ports import Scope


def now() -> datetime:
    """Return the present instant (UTC): the clock service's in the local cloud, the machine's elsewhere."""
    return clock.served_now(settings().clock_url) if settings().clock_url else clock.system_now()


def worker_scope(tenant: str) -> TenantScope:
    """Return the scope of a worker whose queue body, stream record or due item names the lender."""
    return system_scope(tenant)


@cache
def store() -> Store:
    """Return the repository over the stage's tables."""
    tables.connect(settings(), region=region())
    return Store(Sealer(KmsDataKeys(settings().data_key)), audit_domain=settings().audit_domain)


@cache
def queues() -> SqsQueues:
    """Return the stage's queues."""
    return SqsQueues(settings().queue_url_prefix)


@cache
def feed_repository() -> FeedRepository:
    """Return the agencies' feeds and the case lists."""
    store()
    return FeedRepository()


def scopes_of_lenders() -> list[TenantScope]:
    """Return a scope for every registered lender, for what carriers bring in without naming one."""
    return [system_scope(tenant) for tenant in store().lenders()]


# Compliance and dispatch


class _Engine:
    """The compliance engine over the packs in this package."""

    def rule(self, dossier: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ruling."""
        from chalicelib.domain.compliance import load_packs, rule

        return rule(dict(dossier), load_packs())

    def ruleset(self, ruling: Mapping[str, Any]) -> str:
        """Return the digest of the packs that the ruling rests on."""
        from chalicelib.domain.compliance import ruleset_digest

        return ruleset_digest(ruling["packs"])


@cache
def engine() -> _Engine:
    """Return the compliance engine."""
    return _Engine()


@cache
def approval_root() -> KmsApprovalRoot:
    """Return the root key of approvals."""
    return KmsApprovalRoot(settings().approval_key)


@cache
def approval_signer() -> ApprovalSigner:
    """Return the signer of approvals; only the compliance function's role lets it work."""
    root = approval_root()
    return ApprovalSigner(root.sign, root_key_id=root.key_id())


def approval_verifier() -> dispatch.Verifier:
    """Return the check of an approval against the root key."""

    def check(
        approval: Mapping[str, Any], *, now: datetime, contact: str, recipient: str, content: str | None
    ) -> Valid | Invalid:
        root = approval_root().public_key()
        return verify(approval, root=root, now=now, contact=contact, recipient=recipient, content=content)

    return check


def refresh_content(facts: compliance.Facts, at: datetime) -> Attempt:
    """Return the attempt, rendered anew when its balance has moved on."""
    return messages.refresh_content(facts, at)


@cache
def carriers() -> dict[str, dispatch.Carrier]:
    """Return the way out of each channel; only the dispatcher's role lets them work."""
    from chalicelib.gateways.letters import LettersBucket
    from chalicelib.gateways.mail import SesMail
    from chalicelib.gateways.sms import SnsTextMessages
    from chalicelib.gateways.wechat import CorporateWeChat

    known = settings()
    return {
        "sms": SnsTextMessages(),
        "email": SesMail(known.sender_email, configuration_set=known.ses_configuration_set),
        "wechat": CorporateWeChat(known.wechat_url, corp_id=known.wechat_corp_id, secret=known.wechat_secret),
        "letter": LettersBucket(known.letters_bucket),
    }


# Projections, schedules


def projections_by_name() -> dict[str, projections.Projection]:
    """Return every projection of the event stream by name."""

    def to_queues(events: Any) -> list[str]:
        return projections.route_to_queues(events, queues())

    def to_feeds(events: Any) -> list[str]:
        return feeds.project_feeds(feed_repository(), store(), events, scope_for=worker_scope)

    def to_figures(events: Any) -> list[str]:
        return kpis.project_kpis(kpi_ports().repository, events)

    def to_archive(events: Any) -> list[str]:
        return archive_pending(events)

    return {"queues": to_queues, "feeds": to_feeds, "figures": to_figures, "archive": to_archive}


@cache
def kpi_ports() -> kpis.KpiPorts:
    """Return what the key figures need."""
    store()
    return kpis.KpiPorts(KpiRepository(_zone_of))


def _zone_of(tenant: str) -> str:
    lender = store().lender(system_scope(tenant))
    return lender.zone if lender is not None else "UTC"


def archive_pending(events: list[Event]) -> list[str]:
    """Enter the events as pending audit entries of their lender's log; return those that could not be entered."""
    raise NotImplementedError


@cache
def archive_ports() -> Any:
    """Return what the sequencer needs."""
    raise NotImplementedError


def due_handlers() -> dict[str, Handler]:
    """Return what is done with due aggregates other than messages, by the kind in their key."""

    def case(scope: Scope, identity: str, at: datetime) -> str | None:
        return cases.finish_due(store(), scope, identity, now=at)

    def portfolio(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import portfolios

        return portfolios.resume(portfolio_ports(), scope, identity, now=at)

    return {"CASE": case, "PF": portfolio}


@cache
def portfolio_ports() -> Any:
    """Return what the intake needs."""
    raise NotImplementedError


Clock = Callable[[], datetime]
