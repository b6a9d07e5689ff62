"""Plans: what the strategy in force means for one case now. The clock looks, people read, and override with a reason.

The clock looks at a plan when its next step is due and at no other time. Taking a step has three commits, each of which
may be repeated: the step's instant is fixed; room in the budget is taken and the wish noted; the message is asked for
under an id that case and step give, and the step is over. Nothing is sent here: the compliance check rules on the wish.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.behaviour.profile import risk_of
from chalicelib.domain.behaviour.records import history_of
from chalicelib.domain.behaviour.scorecard import cards
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.cases.organisations import Lender
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import DomainError, InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.experiments.experiment import Experiment
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.people.person import ContactLedger, Person
from chalicelib.domain.strategies.book import VersionState
from chalicelib.domain.strategies.facts import CaseFacts, Stage, facts_of
from chalicelib.domain.strategies.next_action import (
    Learned,
    best_channel,
    best_window,
    learned_from,
    person_first,
)
from chalicelib.domain.strategies.plan import (
    Asking,
    CasePlan,
    Enrolment,
    Open,
    Outcome,
    Override,
    Scheduled,
    Settled,
    Turn,
    contact_id,
    is_open,
    slot,
    turn,
    with_settled,
)
from chalicelib.domain.strategies.strategy import (
    BestAct,
    MessageAct,
    Path,
    ReferAct,
    Strategy,
    TaskAct,
    Window,
)
from chalicelib.usecases import experiments, messages
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import Caller, Context, lender_of
from chalicelib.usecases.feeds import Feeds
from chalicelib.usecases.ports import Scope, Store
from chalicelib.usecases.strategies import Strategies

PLANNER = Actor("system", "release_due", "role")

PEOPLE = "people"
"""The path under which a plan notes that a case was handed to somebody because of who the person is."""

LOOK_AGAIN = timedelta(days=7)
"""How soon a case that people look after is looked at again."""

CASES_A_STEP = 100
STEPS_A_LOOK = 10
"""How many cases a walk takes in one read, and how many reads it makes before it lets others have the clock."""

SECOND_PASS = timedelta(minutes=15)
"""How long after the first walk the second one follows, for cases that were placed while it went."""

MOST_OVERRIDES = 100


class Plans(Protocol):
    """Plans, walks and budgets. See ``chalicelib.store.plan_repository``."""

    def plan(self, scope: Scope, case: str) -> CasePlan | None:
        """Return the case's plan, or None."""
        ...

    def plans(self, scope: Scope, cases: Sequence[str]) -> dict[str, CasePlan]:
        """Return those plans that exist, by case."""
        ...

    def plan_record(self, scope: Scope, plan: CasePlan) -> Any:
        """Return the record of a plan."""

    def put_plans(self, scope: Scope, plans: Sequence[CasePlan]) -> int:
        """Put each plan over the version before it; return how many."""
        ...

    def enrolment(self, scope: Scope, name: str) -> Enrolment | None:
        """Return a walk, or None."""
        ...

    def enrolment_record(self, scope: Scope, walk: Enrolment) -> Any:
        """Return the record of a walk."""

    def used(self, scope: Scope, day: str, of: str, channel: str) -> int:
        """Return how many messages were asked for on a local day."""
        ...

    def used_row(self, scope: Scope, day: str, of: str, channel: str, count: int, *, now: datetime) -> Any:
        """Return the row that counts so many."""


@dataclass(frozen=True, slots=True)
class PlanPorts:
    """What plans need."""

    store: Store
    strategies: Strategies
    plans: Plans
    feeds: Feeds
    experiments: experiments.ExperimentPorts


@dataclass(frozen=True, slots=True)
class Version:
    """The version that a case follows."""

    content: Strategy
    number: int


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that is seen of a case when its plan is looked at."""

    case: Case
    person: Person
    lender: Lender
    facts: CaseFacts
    learned: Learned
    version: Version | None
    path: Path | None
    plan: CasePlan
    today: date
    experiment: Experiment | None = None
    is_held_out: bool = False

    @property
    def zones(self) -> tuple[str, ...]:
        """Return the zones in which the person may be, the lender's where none is known."""
        return self.person.zones or (self.lender.zone,)


@dataclass(frozen=True, slots=True)
class Action:
    """What comes next for a case: what kind, by which channel, with which text, when, whose it is, and why (codes)."""

    step: str | None
    kind: str
    channel: str | None
    template: str | None
    window: Window | None
    on: date
    owner: str
    reasons: tuple[str, ...]


# Handing plans out


def project_plans(
    ports: PlanPorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope], now: datetime
) -> list[str]:
    """Give each placed case a plan where the lender has a strategy in force or to come. Returns no failures.

    Strategies are read only when a batch holds placed cases. A plan that is there already stays as it is.
    """
    placed: dict[str, list[str]] = {}
    for event in events:
        if event.type is EventType.CASE_PLACED:
            placed.setdefault(event.tenant, []).append(event.stream)
    for tenant, cases in placed.items():
        scope = scope_for(tenant)
        books = ports.strategies.books(scope)
        if any(life.state is VersionState.ACTIVATED for book in books for life in book.versions):
            ports.plans.put_plans(scope, [_new_plan(case, now) for case in cases])
    return []


def _new_plan(case: str, now: datetime) -> CasePlan:
    return CasePlan(case=case, due_at=to_text(now), version=1)


def enrol(ports: PlanPorts, scope: Scope, name: str, *, now: datetime) -> str | None:
    """Walk on over the lender's cases and give each a plan, or wake one that rests; return the kind of move, or None.

    Where it stopped is written down, so that the next look goes on from there; the walk goes round twice.
    """
    walk = ports.plans.enrolment(scope, name)
    if walk is None or walk.due_at is None or walk.due_at > to_text(now):
        return None
    after = walk.after
    for _ in range(STEPS_A_LOOK):
        rows = ports.feeds.lender_page(scope.tenant, after=after, limit=CASES_A_STEP, state=None)
        cases = [row.case for row in rows if row.state not in FINAL]
        known = ports.plans.plans(scope, cases)
        woken = [_woken(case, known.get(case), now) for case in cases if _rests(known.get(case))]
        ports.plans.put_plans(scope, woken)
        after = rows[-1].case if rows else None
        if len(rows) < CASES_A_STEP:
            after = None
            break
    is_round = after is None
    passes = walk.passes + is_round
    due = None if passes >= 2 else to_text(now + SECOND_PASS if is_round else now)
    moved = walk.model_copy(update={"after": after, "passes": passes, "due_at": due, "version": walk.version + 1})
    unit = ports.store.unit(scope, actor=PLANNER, req="req_clock", now=now)
    unit.replace(ports.plans.enrolment_record(scope, moved), expected=walk.version)
    unit.commit()
    return "enrolled"


def _rests(plan: CasePlan | None) -> bool:
    return plan is None or (plan.due_at is None and plan.standing != "ended")


def _woken(case: str, plan: CasePlan | None, now: datetime) -> CasePlan:
    if plan is None:
        return _new_plan(case, now)
    return plan.model_copy(update={"due_at": to_text(now), "version": plan.version + 1})


# Looking


def see(ports: PlanPorts, scope: Scope, case: Case, plan: CasePlan, *, now: datetime) -> Sight:
    """Return what is seen of a case now, with the version that it follows and its path. Raises NotFound for an erased person."""
    lender = lender_of(ports.store, scope)
    person = ports.store.person(scope, case.debtor)
    if person is None:
        raise NotFound("person", case.debtor)
    ledger: ContactLedger = ports.store.ledger(scope, case.debtor)
    history = history_of(case, ledger, zone=lender.zone)
    risk = risk_of(case, history, cards(), at=now, high_risk_permille=lender.high_risk_permille)
    facts = facts_of(case, person, ledger, zone=lender.zone, now=now, risk=risk)
    version, path = _followed(ports, scope, facts, now)
    experiment = None
    if version is not None:
        champion = f"{version.content.id}@{version.number}"
        experiment = experiments.experiment_on(ports.experiments, scope, champion)
    arm = None if experiment is None else experiments.arm_for(experiment, case.debtor)
    is_held_out = arm is not None and arm.strategy is None
    if arm is not None:
        version, path = _tried(ports, scope, arm.strategy, facts)
    learned = learned_from(ledger, zone=(person.zones or (lender.zone,))[0], now=now)
    if version is not None and path is not None and (plan.strategy, plan.path) != (version.content.id, path.id):
        plan = plan.model_copy(update={"entered_at": to_text(now), "scheduled": None})
    if version is not None and path is not None:
        told = {"strategy": version.content.id, "number": version.number, "path": path.id}
        plan = plan.model_copy(update=told)
    today = local_date(now, lender.zone)
    return Sight(case, person, lender, facts, learned, version, path, plan, today, experiment, is_held_out)


def _followed(ports: PlanPorts, scope: Scope, facts: CaseFacts, now: datetime) -> tuple[Version | None, Path | None]:
    for book in ports.strategies.books(scope):
        life = book.in_force(now)
        content = None if life is None else ports.strategies.content(scope, book.id, life)
        if life is None or content is None:
            continue
        path = content.path_for(facts)
        if path is not None:
            return Version(content, life.number), path
    return None, None


def _tried(
    ports: PlanPorts, scope: Scope, strategy: str | None, facts: CaseFacts
) -> tuple[Version | None, Path | None]:
    """Return the version of an arm and the case's path in it; nothing for a holdout."""
    name, _, number = (strategy or "").partition("@")
    book = ports.strategies.book(scope, name) if name else None
    life = None if book is None else book.numbered(int(number))
    content = None if life is None else ports.strategies.content(scope, name, life)
    return (None, None) if content is None else (Version(content, int(number)), content.path_for(facts))


def look(ports: PlanPorts, scope: Scope, case_id: str, *, now: datetime, req: str = "req_clock") -> str | None:
    """Look at a plan that is due: fix, ask for or settle its next step. Return the kind of move, or None when it is not due."""

    def once() -> str | None:
        plan = ports.plans.plan(scope, case_id)
        if plan is None or plan.due_at is None or plan.due_at > to_text(now):
            return None
        if plan.asking is not None:
            return _ask(ports, scope, plan, plan.asking, now=now, req=req)
        case = ports.store.case(scope, case_id)
        if case is None or case.state in FINAL:
            return _keep(ports, scope, plan, standing="ended", due_at=None, now=now, req=req)
        sight = see(ports, scope, case, plan, now=now)
        if sight.experiment is not None:
            experiments.assign(ports.experiments, scope, sight.experiment, case, now=now, req=req)
        return _turn(ports, scope, sight, now=now, req=req)

    return retrying(once)


def _turn(ports: PlanPorts, scope: Scope, sight: Sight, *, now: datetime, req: str) -> str:
    plan, path, version = sight.plan, sight.path, sight.version
    if not sight.is_held_out and (version is None or path is None):
        return _keep(ports, scope, plan, standing="no_strategy", due_at=None, now=now, req=req)
    handed = person_first(sight.facts)
    if handed is not None:
        return _hand_over(ports, scope, sight, handed, now=now, req=req)
    if version is None or path is None:
        return _keep(ports, scope, plan, standing="held_out", due_at=None, now=now, req=req)
    if plan.paused_until is not None and sight.today.isoformat() <= plan.paused_until:
        day = date.fromisoformat(plan.paused_until) + timedelta(days=1)
        due = _slot(sight, "pause", day, version.content.hours, now)
        return _keep(ports, scope, plan, standing="paused", due_at=due, now=now, req=req)
    found = turn(path, plan, sight.facts, today=sight.today, zone=sight.lender.zone)
    if found.left_out:
        return _leave_out(ports, scope, sight, found, now=now, req=req)
    if found.due is None:
        standing = "finished" if found.following is None else "running"
        return _schedule(ports, scope, sight, found.following, standing=standing, now=now, req=req)
    window, _ = window_of(sight, found.due)
    step = found.due.step
    fixed = plan.scheduled
    is_time = fixed is not None and (fixed.path, fixed.step) == (path.id, step.id) and from_text(fixed.at) <= now
    if not is_time or not is_open(now, sight.today, window, sight.zones):
        return _schedule(ports, scope, sight, Open(step, sight.today), standing="running", now=now, req=req)
    return _take(ports, scope, sight, found.due, now=now, req=req)


def window_of(sight: Sight, wanted: Open) -> tuple[Window, str]:
    """Return the window of a step and the code of why: the step's own, or the person's hours in the strategy's."""
    hours = sight.version.content.hours if sight.version is not None else Window(from_="09:00", to="18:00")
    if wanted.step.window is not None:
        return wanted.step.window, "stated_hours"
    picked = channel_of(sight, wanted)
    return (hours, "stated_hours") if picked is None else best_window(sight.learned, picked[0], hours)


def channel_of(sight: Sight, wanted: Open) -> tuple[str, str | None, tuple[str, ...]] | None:
    """Return (channel, template, reasons) of a step, None when no channel of it reaches the person or it needs none."""
    act, path = wanted.step.act, sight.path
    chosen = sight.plan.channels.get(f"{path.id}/{wanted.step.id}") if path is not None else None
    if isinstance(act, MessageAct):
        return act.channel, act.template, ("stated_channel",)
    if isinstance(act, BestAct):
        if chosen is not None and chosen in act.texts:
            return chosen, act.texts[chosen], ("overridden",)
        best = best_channel(sight.facts, sight.learned, act.texts)
        return None if best is None else (best.channel, act.texts[best.channel], best.reasons)
    return (act.channel, None, ("stated_task",)) if isinstance(act, TaskAct) else None


def owner_of(sight: Sight, wanted: Open) -> str:
    """Return whose a step is: the lender's before anything is overdue, the addressee of a referral, else the agency's."""
    if isinstance(wanted.step.act, ReferAct):
        return wanted.step.act.to
    return sight.case.tenant if sight.facts.stage == Stage.BEFORE_DUE else sight.case.agency or sight.case.tenant


def _slot(sight: Sight, step: str, day: date, window: Window, now: datetime) -> str:
    """Return the step's instant on the day, or on the first day after it whose window is not over."""
    seed = f"{sight.case.id}/{sight.plan.path}/{step}"
    while (found := slot(day, window, sight.zones, seed=seed, after=now)) is None:
        day += timedelta(days=1)
    return to_text(found)


def _keep(
    ports: PlanPorts, scope: Scope, plan: CasePlan, *, standing: str, due_at: str | None, now: datetime, req: str
) -> str:
    after = plan.model_copy(update={"standing": standing, "due_at": due_at, "version": plan.version + 1})
    unit = ports.store.unit(scope, actor=PLANNER, req=req, now=now)
    unit.replace(ports.plans.plan_record(scope, after), expected=plan.version)
    unit.commit()
    return f"plan_{standing}"


def _schedule(
    ports: PlanPorts, scope: Scope, sight: Sight, wanted: Open | None, *, standing: str, now: datetime, req: str
) -> str:
    plan = sight.plan
    if wanted is None:
        return _keep(ports, scope, plan, standing=standing, due_at=None, now=now, req=req)
    at = _slot(sight, wanted.step.id, wanted.on, window_of(sight, wanted)[0], now)
    fixed = Scheduled(path=plan.path or "", step=wanted.step.id, at=at)
    return _keep(
        ports, scope, plan.model_copy(update={"scheduled": fixed}), standing=standing, due_at=at, now=now, req=req
    )


# Settling steps


def _settle(
    ports: PlanPorts,
    scope: Scope,
    plan: CasePlan,
    settled: Sequence[Settled],
    owner: str | None,
    unit: Any,
    now: datetime,
) -> CasePlan:
    """Add to the unit what makes steps over: the plan as its next version, and an event for each; return the plan."""
    after = with_settled(plan, settled).model_copy(
        update={"asking": None, "scheduled": None, "due_at": to_text(now), "version": plan.version + 1}
    )
    unit.replace(ports.plans.plan_record(scope, after), expected=plan.version)
    for each in settled:
        unit.emit(
            keys.case_pk(scope.tenant, plan.case),
            EventType.PLAN_STEP_SETTLED,
            {
                "strategy": plan.strategy,
                "number": plan.number,
                "path": each.path,
                "plan_step": each.step,
                "outcome": each.outcome.value,
                "reason": each.reason,
                "channel": each.channel,
                "contact": each.contact,
                "owner": owner,
            },
        )
    return after


def _leave_out(ports: PlanPorts, scope: Scope, sight: Sight, found: Turn, *, now: datetime, req: str) -> str:
    path = sight.plan.path or ""
    settled = [
        Settled(
            path=path,
            step=each.step.id,
            outcome=Outcome.LEFT_OUT,
            at=to_text(now),
            on=each.on.isoformat(),
            reason=reason,
        )
        for each, reason in found.left_out
    ]
    unit = ports.store.unit(scope, actor=PLANNER, req=req, now=now)
    _settle(ports, scope, sight.plan, settled, None, unit, now)
    unit.commit()
    return "plan_left_out"


def _hand_over(
    ports: PlanPorts, scope: Scope, sight: Sight, handed: tuple[str, str], *, now: datetime, req: str
) -> str:
    owner, reason = handed
    if sight.plan.of(PEOPLE, reason) is not None:
        due = to_text(now + LOOK_AGAIN)
        return _keep(ports, scope, sight.plan, standing="with_people", due_at=due, now=now, req=req)
    done = Settled(
        path=PEOPLE,
        step=reason,
        outcome=Outcome.REFERRED,
        at=to_text(now),
        on=sight.today.isoformat(),
        reason=reason,
    )
    unit = ports.store.unit(scope, actor=PLANNER, req=req, now=now)
    _settle(ports, scope, sight.plan, [done], owner, unit, now)
    unit.commit()
    return "plan_referred"


def _take(ports: PlanPorts, scope: Scope, sight: Sight, due: Open, *, now: datetime, req: str) -> str:
    plan, step, picked, owner = sight.plan, due.step, channel_of(sight, due), owner_of(sight, due)
    told: dict[str, Any] = {"path": plan.path or "", "step": step.id, "at": to_text(now), "on": due.on.isoformat()}
    if isinstance(step.act, ReferAct | TaskAct):
        is_task = isinstance(step.act, TaskAct)
        outcome = Outcome.TASK if is_task else Outcome.REFERRED
        done = Settled(**told, outcome=outcome, channel=step.act.channel if isinstance(step.act, TaskAct) else None)
        unit = ports.store.unit(scope, actor=PLANNER, req=req, now=now)
        _settle(ports, scope, plan, [done], owner, unit, now)
        unit.commit()
        return "plan_task" if is_task else "plan_referred"
    if picked is None or picked[1] is None:
        done = Settled(**told, outcome=Outcome.LEFT_OUT, reason="no_contact_point")
        unit = ports.store.unit(scope, actor=PLANNER, req=req, now=now)
        _settle(ports, scope, plan, [done], None, unit, now)
        unit.commit()
        return "plan_left_out"
    if sight.facts.stage != Stage.BEFORE_DUE and sight.case.agency is None:
        tomorrow = Open(step, sight.today + timedelta(days=1))
        return _schedule(ports, scope, sight, tomorrow, standing="without_agency", now=now, req=req)
    channel, template, _ = picked
    rows = _room(ports, scope, sight, channel, owner, now)
    if rows is None:
        tomorrow = Open(step, sight.today + timedelta(days=1))
        return _schedule(ports, scope, sight, tomorrow, standing="over_budget", now=now, req=req)
    asking = Asking(
        path=plan.path or "",
        step=step.id,
        on=due.on.isoformat(),
        contact=contact_id(scope.tenant, plan.case, plan.strategy or "", plan.path or "", step.id),
        channel=channel,
        template=template,
        org=owner,
        collector=messages.writer_of(ports.store, scope, sight.case, owner, today=sight.today),
    )
    noted = plan.model_copy(update={"asking": asking, "due_at": to_text(now), "version": plan.version + 1})
    unit = ports.store.unit(scope, actor=PLANNER, req=req, now=now)
    unit.replace(ports.plans.plan_record(scope, noted), expected=plan.version)
    for row, expected in rows:
        unit.replace(row, expected=expected)
    unit.commit()
    return _ask(ports, scope, noted, asking, now=now, req=req)


def _room(
    ports: PlanPorts, scope: Scope, sight: Sight, channel: str, owner: str, now: datetime
) -> list[tuple[Any, int]] | None:
    """Return the rows that take one place in each budget of the channel, None when one of them is used up."""
    content = sight.version.content if sight.version is not None else None
    day, rows = sight.today.isoformat(), []
    for of, whose in (("lender", "*"), ("agency", owner)):
        limit = content.budget(channel, of) if content is not None else None
        if limit is None:
            continue
        used = ports.plans.used(scope, day, whose, channel)
        if used >= limit:
            return None
        row = ports.plans.used_row(scope, day, whose, channel, used + 1, now=now)
        rows.append((row, used + 1 if used else 0))
    return rows


def _ask(ports: PlanPorts, scope: Scope, plan: CasePlan, asking: Asking, *, now: datetime, req: str) -> str:
    """Ask for the noted message under its own id, and settle the step: as requested, or as left out with the refusal's code."""
    wish = messages.Wish(
        channel=asking.channel,
        template=asking.template,
        parameters={},
        purpose=None,
        to=None,
        point=None,
        reply_to=None,
        strategy=None if plan.strategy is None else f"{plan.strategy}@{plan.number}",
    )
    refused = None
    try:
        messages.request_message(
            ports.store,
            scope,
            plan.case,
            wish,
            message_id=asking.contact,
            org=asking.org,
            collector=asking.collector,
            human=False,
            actor=PLANNER,
            now=now,
            req=req,
        )
    except (InvalidInput, NotFound, StateConflict) as error:
        refused = _code(error)
    done = Settled(
        path=asking.path,
        step=asking.step,
        outcome=Outcome.REQUESTED if refused is None else Outcome.LEFT_OUT,
        at=to_text(now),
        on=asking.on,
        contact=asking.contact if refused is None else None,
        channel=asking.channel,
        reason=refused,
    )
    unit = ports.store.unit(scope, actor=PLANNER, req=req, now=now)
    _settle(ports, scope, plan, [done], asking.org, unit, now)
    unit.commit()
    return "plan_requested" if refused is None else "plan_left_out"


def _code(error: DomainError) -> str:
    return error.errors[0].code if error.errors else error.reason


# Reading and overriding


@dataclass(frozen=True, slots=True)
class Read:
    """A plan as it stands now, with what is seen of its case and what comes next (None: nothing)."""

    sight: Sight
    action: Action | None


def read_plan(ports: PlanPorts, scope: Scope, case_id: str, *, org: str | None, now: datetime) -> Read:
    """Return the plan of a case as it stands now; nothing is written. Raises NotFound."""
    case = find_case(ports.store, scope, case_id, org=org)
    plan = ports.plans.plan(scope, case_id) or CasePlan(case=case_id)
    sight = see(ports, scope, case, plan, now=now)
    return Read(sight, next_action(sight, now=now))


def next_action(sight: Sight, *, now: datetime) -> Action | None:
    """Return what comes next for a case: for a person first, where the record says so; else the path's next step."""
    handed = person_first(sight.facts)
    if handed is not None:
        return Action(None, "refer", None, None, None, sight.today, handed[0], (handed[1],))
    if sight.path is None or sight.version is None or sight.case.state in FINAL:
        return None
    found = turn(sight.path, sight.plan, sight.facts, today=sight.today, zone=sight.lender.zone)
    wanted = found.due or found.following
    if wanted is None:
        return None
    picked, (window, hours) = channel_of(sight, wanted), window_of(sight, wanted)
    reasons = ("stated_referral",) if picked is None else picked[2]
    if sight.facts.stage == Stage.BEFORE_DUE:
        reasons = (*reasons, "before_due")
    channel, template = (None, None) if picked is None else picked[:2]
    on = max(wanted.on, sight.today)
    return Action(
        wanted.step.id,
        wanted.step.act.kind if wanted.step.act.kind != "best" else "message",
        channel,
        template,
        window,
        on,
        owner_of(sight, wanted),
        (*reasons, hours),
    )


def override_plan(
    ports: PlanPorts,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    decision: str,
    reason: str,
    until: date | None = None,
    channel: str | None = None,
) -> CasePlan:
    """Let a person decide instead of the plan, with a reason that is recorded: skip, pause, resume, or another channel.

    ``skip`` leaves the next step out; ``pause`` takes none until a local day is over; ``channel`` sends the next step by
    another of its channels. Raises NotFound, InvalidInput for what the decision needs and has not, StateConflict when
    there is no step to decide on.
    """
    if (decision == "pause") != (until is not None):
        raise InvalidInput("/until", "required", "a pause has a last day, and nothing else has one")
    if (decision == "channel") != (channel is not None):
        raise InvalidInput("/channel", "required", "another channel is named when that is the decision, and only then")

    def once() -> CasePlan:
        case = find_case(ports.store, scope, case_id, org=caller.org)
        known = ports.plans.plan(scope, case_id) or CasePlan(case=case_id)
        sight = see(ports, scope, case, known, now=context.now)
        plan = sight.plan
        if until is not None and until < sight.today:
            raise InvalidInput("/until", "out_of_range", "a pause ends today or later")
        if len(plan.overrides) >= MOST_OVERRIDES:
            raise StateConflict("too_many_overrides", f"a plan is overridden at most {MOST_OVERRIDES} times")
        wanted = _next_step(sight)
        if decision in ("skip", "channel") and (wanted is None or sight.path is None):
            raise StateConflict("no_step", "no step of the plan is to come")
        step = wanted.step.id if wanted is not None and decision in ("skip", "channel") else None
        said = Override(
            decision=decision,
            by=caller.actor.id,
            at=to_text(context.now),
            step=step,
            until=None if until is None else until.isoformat(),
            channel=channel,
        )
        changes: dict[str, Any] = {"overrides": (*plan.overrides, said), "due_at": to_text(context.now)}
        if decision == "pause":
            changes["paused_until"] = said.until
        if decision == "resume":
            changes["paused_until"] = None
        if decision == "channel" and wanted is not None and sight.path is not None:
            if not isinstance(wanted.step.act, BestAct) or channel not in wanted.step.act.texts:
                raise InvalidInput("/channel", "other_channel", "the step has no approved text for that channel")
            changes["channels"] = {**plan.channels, f"{sight.path.id}/{step}": channel}
        if decision == "skip" and wanted is not None and sight.path is not None:
            left_out = Settled(
                path=sight.path.id,
                step=wanted.step.id,
                outcome=Outcome.LEFT_OUT,
                at=to_text(context.now),
                on=max(wanted.on, sight.today).isoformat(),
                reason="overridden",
            )
            changes["settled"] = (*plan.settled, left_out)
        after = plan.model_copy(update={**changes, "version": known.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.plans.plan_record(scope, after), expected=known.version)
        unit.emit(
            keys.case_pk(scope.tenant, case_id),
            EventType.PLAN_OVERRIDDEN,
            {
                "strategy": plan.strategy,
                "plan_step": step,
                "plan_decision": decision,
                "pause_until": said.until,
                "channel": channel,
                "agency": case.agency,
            },
            subject=case.debtor,
            secret={"text": reason},
        )
        unit.commit()
        return after

    return retrying(once)


def _next_step(sight: Sight) -> Open | None:
    if sight.path is None:
        return None
    found = turn(sight.path, sight.plan, sight.facts, today=sight.today, zone=sight.lender.zone)
    return found.due or found.following
