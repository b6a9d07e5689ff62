"""Approvals: genuine, in time, and for this very message, or worth nothing."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chalicelib.domain.outreach.approval import CERTIFICATE_LIFE, ApprovalSigner, Invalid, Valid, verify

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
ROOT = ec.generate_private_key(ec.SECP256R1())


def a_signer(root: ec.EllipticCurvePrivateKey = ROOT) -> ApprovalSigner:
    return ApprovalSigner(lambda message: root.sign(message, ec.ECDSA(hashes.SHA256())), root_key_id="root")


def an_approval(**deviations: Any) -> dict[str, Any]:
    return {
        "id": "apr_1",
        "tenant": "len-1",
        "case": "case_1",
        "contact": "msg_1",
        "person": "per_1",
        "channel": "sms",
        "purpose": "demand",
        "recipient": "aa" * 16,
        "content": "bb" * 32,
        "template": "cn-sms-demand@1",
        "template_sha256": "ee" * 32,
        "ruleset": "cc" * 32,
        "inputs": "dd" * 32,
        "not_before": "2026-11-24T02:00:00.000Z",
        "not_after": "2026-11-24T02:15:00.000Z",
        **deviations,
    }


def check(approval: dict[str, Any], *, now: datetime = NOW, **deviations: Any) -> Valid | Invalid:
    text = ("cn-sms-demand@1", "ee" * 32)
    expected = {"contact": "msg_1", "recipient": "aa" * 16, "content": "bb" * 32, "template": text, **deviations}
    return verify(approval, root=ROOT.public_key(), now=now, **expected)


def test_a_signed_approval_is_valid_from_its_start_to_just_before_its_end() -> None:
    signed = a_signer().sign(an_approval(), now=NOW)
    assert check(signed) == Valid()
    assert check(signed, now=NOW + timedelta(minutes=15) - timedelta(microseconds=1)) == Valid()
    assert isinstance(check(signed, now=NOW + timedelta(minutes=15)), Invalid)
    assert isinstance(check(signed, now=NOW - timedelta(microseconds=1)), Invalid)


@pytest.mark.parametrize("field", sorted(an_approval()))
def test_changing_any_field_breaks_the_signature(field: str) -> None:
    signed = a_signer().sign(an_approval(), now=NOW)
    assert isinstance(check({**signed, field: "2026-11-24T02:14:00.000Z"}), Invalid)


@pytest.mark.parametrize(
    "expected",
    [
        {"contact": "msg_2"},
        {"recipient": "ab" * 16},
        {"content": "bc" * 32},
        {"content": None},
        {"template": ("cn-sms-demand@2", "ee" * 32)},
        {"template": ("cn-sms-demand@1", "ef" * 32)},
        {"template": (None, None)},
    ],
)
def test_an_approval_for_another_message_is_refused(expected: dict[str, Any]) -> None:
    assert isinstance(check(a_signer().sign(an_approval(), now=NOW), **expected), Invalid)


def test_a_certificate_by_another_root_is_refused() -> None:
    stranger = a_signer(ec.generate_private_key(ec.SECP256R1()))
    assert isinstance(check(stranger.sign(an_approval(), now=NOW)), Invalid)


def test_a_genuine_certificate_does_not_cover_another_key() -> None:
    signed = a_signer().sign(an_approval(), now=NOW)
    other = Ed25519PrivateKey.generate().sign(rfc8785.dumps(an_approval()))
    assert isinstance(check({**signed, "signature": base64.b64encode(other).decode()}), Invalid)


def test_an_extra_field_that_nobody_signed_is_refused() -> None:
    assert isinstance(check({**a_signer().sign(an_approval(), now=NOW), "note": "x"}), Invalid)


@pytest.mark.parametrize("broken", [{}, {"signature": 5}, {"certificate": None}, {"certificate": {}}])
def test_a_malformed_approval_is_invalid_and_raises_nothing(broken: dict[str, Any]) -> None:
    signed = a_signer().sign(an_approval(), now=NOW)
    assert isinstance(check({**signed, **broken} if broken else {}), Invalid)


def test_a_signer_renews_its_key_before_the_certificate_runs_out() -> None:
    signer = a_signer()
    first = signer.sign(an_approval(), now=NOW)["certificate"]
    later = NOW + CERTIFICATE_LIFE * 3 / 4
    assert signer.sign(an_approval(), now=later)["certificate"] == first
    assert signer.sign(an_approval(), now=later + timedelta(seconds=1))["certificate"] != first


def test_an_approval_with_a_missing_or_extra_field_is_never_signed() -> None:
    with pytest.raises(ValueError, match="exactly the fields"):
        a_signer().sign({**an_approval(), "extra": 1}, now=NOW)
    short = an_approval()
    del short["content"]
    with pytest.raises(ValueError, match="exactly the fields"):
        a_signer().sign(short, now=NOW)
