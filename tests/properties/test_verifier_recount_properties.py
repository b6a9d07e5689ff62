"""The offline verifier's recount of caps, and the engine's own count of the same history, on random rules and pasts.

Where everything that came of earlier contacts was known at the next ruling, both say the same of a cap that the open part of
the entries answers. Where something became known later, the verifier never says more than the engine said.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from chalicelib.domain.compliance import check_dossier, load_packs
from chalicelib.domain.compliance.case import Case
from chalicelib.domain.compliance.counts import UNITS
from chalicelib.domain.compliance.scene import Finding, Scene
from chalicelib.domain.compliance.shapes import SHAPES
from chalicelib.domain.compliance.timeline import zone
from scripts.verify_archive import Cap, Contact, Kind
from tests.rules.casebook import dossier_of

AT = datetime(2026, 6, 10, 2, tzinfo=UTC)
ZONE = "Asia/Shanghai"
PACK = load_packs().pack("CN")
CHANNELS = ("call", "sms", "wechat", "visit")
OUTCOMES = sorted(set().union(*UNITS.values()) - {"pending"}) + ["busy"]
EXAMPLES = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Made(NamedTuple):
    """A contact in the past: how long ago, what came of it, and how long after it that was told (None: not yet)."""

    age_seconds: int
    channel: str
    outcome: str
    told_after_seconds: int | None
    org: str
    debt: str
    purpose: str
    point: str
    reply: bool

    @property
    def known(self) -> bool:
        """Tell whether what came of it was known at the ruling."""
        return self.told_after_seconds is not None and self.told_after_seconds < self.age_seconds


def some(values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """Parameters of a cap that the open part of the entries answers."""
    params: dict[str, Any] = {"cap": draw(st.integers(1, 4)), "by": draw(st.sampled_from(["org", "lender"]))}
    params |= draw(st.sampled_from([{"days": 1}, {"days": 2}, {"days": 7}, {"window": "month"}, {"window": "ever"}]))
    params |= draw(st.sampled_from([{}, {"per": "debt"}]))
    params |= draw(st.sampled_from([{}, {"same_point": True}, {"same_point": True, "who": "anybody"}]))
    optional = {
        "channels": some(CHANNELS),
        "unit": st.sampled_from(sorted(UNITS)),
        "not_outcomes": some(OUTCOMES),
        "purposes": some(["demand", "reminder", "required_notice"]),
        "not_purposes": some(["reminder", "required_notice"]),
        "outcomes_of": st.fixed_dictionaries({"call": some([*OUTCOMES, "pending"])}),
        "replies": st.just(False),
    }
    return params | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def pasts(draw: st.DrawFn, *, all_known: bool) -> list[Made]:
    """Some contacts, crowded around the borders of days, weeks and months."""
    borders = [0, 1, *(10 * 3_600 + day * 86_400 + second for day in (0, 1, 6, 9) for second in (-1, 0, 1))]
    ages = st.one_of(st.sampled_from([each for each in borders if each > 0]), st.integers(1, 12 * 86_400))
    told = st.just(0) if all_known else st.integers(1, 86_400)
    made = st.builds(
        Made,
        age_seconds=ages,
        channel=st.sampled_from(CHANNELS),
        outcome=st.sampled_from(OUTCOMES),
        told_after_seconds=told if all_known else st.one_of(st.none(), told),
        org=st.sampled_from(["ag1", "ag1", "ag2"]),
        debt=st.sampled_from(["d1", "d1", "d2"]),
        purpose=st.sampled_from(["demand", "demand", "reminder", "required_notice"]),
        point=st.sampled_from(["m", "m", "m2"]),
        reply=st.booleans(),
    )
    return draw(st.lists(made, max_size=10))


def engine_says(params: Mapping[str, Any], past: list[Made]) -> int:
    """Return how many contacts the engine finds against the cap, 0 when it is silent."""
    base = {
        "rule": "count",
        "note": "",
        "shape": "count",
        "params": {},
        "base": "cn.call",
        "at": "2026-06-10T02:00:00Z",
    }
    dossier = dossier_of(base)
    dossier["orgs"]["ag2"] = dict(dossier["orgs"]["ag1"])
    dossier["points"]["m2"] = dict(dossier["points"]["m"])
    dossier["history"] = [
        {
            "id": f"h{number}",
            "at": f"{AT - timedelta(seconds=made.age_seconds):%Y-%m-%dT%H:%M:%SZ}",
            "direction": "out",
            "channel": made.channel,
            "purpose": made.purpose,
            "party": "p1",
            "org": made.org,
            "debts": [made.debt],
            "outcome": made.outcome if made.known else "pending",
            "point": made.point,
            "reply": made.reply,
        }
        for number, made in enumerate(past)
    ]
    case = Case(check_dossier(dossier))
    found = SHAPES["count"].build(params)(Scene(case, (zone(ZONE),), PACK.calendars, PACK.lexicon), case.at)
    return (found.observed or 0) if isinstance(found, Finding) else 0


def verifier_says(params: Mapping[str, Any], past: list[Made]) -> int:
    """Return how many contacts the verifier finds against the cap, 0 when it finds it not full."""
    cap = Cap({"id": "X", "params": params}, ZONE)
    at = round(AT.timestamp() * 1_000_000)

    def contact(made: Made, number: int) -> Contact:
        kind = Kind("log", made.channel, made.purpose, made.org, "debtor", (ZONE,), "rules", made.reply)
        when = at - made.age_seconds * 1_000_000
        found = Contact(f"apr_{number}", made.debt, "p1", kind, made.point, None, when, when, when, True, claims=1)
        if made.told_after_seconds is not None:
            found.tell(made.outcome, when + made.told_after_seconds * 1_000_000)
        return found

    before = sorted((contact(made, number) for number, made in enumerate(past)), key=lambda each: each.decided_at)
    act = Made(0, "call", "pending", None, "ag1", "d1", "demand", "m", reply=False)
    new = contact(act, -1)
    assert cap.lacks(new.kind) == [], "such a cap is counted"
    return cap.exceeded(new, before) if cap.binds(new.kind) else 0


@EXAMPLES
@given(rules(), pasts(all_known=True))
def test_the_recount_and_the_engine_agree_on_what_was_known(params: dict[str, Any], past: list[Made]) -> None:
    said = engine_says(params, past)
    event("over the cap" if said else "within it")
    assert verifier_says(params, past) == said


@EXAMPLES
@given(rules(), pasts(all_known=False))
def test_the_recount_never_says_more_than_the_engine_did(params: dict[str, Any], past: list[Made]) -> None:
    assert verifier_says(params, past) <= engine_says(params, past)
