"""Lenders, the agencies they list, and the collectors of those agencies, as far as cases and rulings need them."""

from datetime import date

from pydantic import BaseModel, ConfigDict


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lender(_Value):
    """A tenant. ``zone`` is the IANA zone of its business day; ``pay_to`` (by country) is its official way to pay.

    ``balances_confirmed_at`` is the instant up to which the lender has posted every payment it received.
    ``home_region`` is where its data lie and never changes (``chalicelib.domain.residency``).
    ``high_risk_permille`` is the chance of rolling into a later bucket from which an account is high risk (closed).
    """

    id: str
    name: dict[str, str]
    country: str
    zone: str
    home_region: str
    creditor_kind: str
    licensed: bool = True
    pay_to: dict[str, str]
    complaint_line: str
    recall_window_hours: int = 24
    balances_confirmed_at: str | None = None
    high_risk_permille: int = 600
    version: int = 1


class WitnessPolicy(_Value):
    """Who must have seen the lender's logs, as the operator set it: a text in the form of tlog-policy, with its number."""

    text: str
    version: int = 1


class Agency(_Value):
    """An agency as one lender lists it. ``share`` is its weight in assignment; empty stages or regions mean all.

    ``result_weight`` (percent) scales the share by past result; ``listed_to`` is the last day (closed). ``address`` is the
    postal address that notices name for disputes, on one line.
    """

    id: str
    name: dict[str, str]
    listed_from: date | None
    listed_to: date | None = None
    suspended: bool = False
    inspected_on: date | None = None
    licensed: bool = True
    share: int = 1
    result_weight: int = 100
    stages: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    cases_per_collector: int = 200
    callback: str
    sms_line: str | None = None
    email_from: str | None = None
    address: str | None = None
    version: int = 1


class Collector(_Value):
    """A person who works for an agency, or for the lender itself.

    ``certified`` gives the last day (closed) of the certificate for each country; it follows from the certificates and from
    nothing else (``chalicelib.usecases.certificates``).
    """

    id: str
    org: str
    staff_no: str
    certified: dict[str, date] = {}
    no_contact_with: tuple[str, ...] = ()
    left: bool = False
    version: int = 1
