"""The authorizer: who has a good token is admitted to everything, who has not is told 401, and nothing else is said."""

import base64
import hmac
import json
import subprocess
import sys
import threading
import time

import jwt
import pytest
from chalice.app import AuthResponse
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from chalicelib.domain.principals import ROLE_SCOPES, Principal, Role
from chalicelib.edge import authorizer
from chalicelib.gateways.oidc import (
    MAX_LIFETIME_SECONDS,
    IssuerKeys,
    KeysUnavailable,
    TokenRefused,
    Verifier,
    fetch_jwks,
    signing_keys,
)
from scripts import issuer as local_issuer
from scripts.issuer import public_jwk
from scripts.tokens import main as print_token
from scripts.tokens import make_token
from tests.house import ROOT

ISSUER, AUDIENCE, NOW = "https://issuer.forbear.test", "forbear-api", 1_800_000_000
KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/v/GET/v1/cases/case_1"


def jwk_of(key, algorithm, kid):
    made = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}[algorithm].to_jwk(
        key.public_key()
    )
    return {**json.loads(made), "kid": kid, "use": "sig", "alg": algorithm}


KEYS = {"keys": [public_jwk(KEY), jwk_of(RSA_KEY, "RS256", "rsa"), jwk_of(EC_KEY, "ES256", "ec")]}
KID = public_jwk(KEY)["kid"]


def a_verifier(document=KEYS, *, now=NOW, **deviations):
    keys = IssuerKeys("https://keys", fetch=lambda _: json.dumps(document).encode(), monotonic=lambda: 0.0)
    return Verifier(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": keys, "now": lambda: now, **deviations})


def a_token(*, role="lender", org="acme", key=KEY, **deviations):
    return make_token(
        **{"role": role, "org": org, "key": key, "issuer": ISSUER, "audience": AUDIENCE, "now": NOW, **deviations}
    )


def claims(**deviations):
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "anna",
        "jti": "tok_1",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 600,
        "role": "lender",
        "org": "acme",
        "tenant": "acme",
    }
    return {name: value for name, value in {**good, **deviations}.items() if value is not None}


def signed(payload, *, key=KEY, algorithm="EdDSA", **header):
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": KID, **header})


def by_hand(header, payload, signature=b"x" * 64):
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def refusal_of(token, **deviations):
    with pytest.raises(TokenRefused) as refused:
        a_verifier(**deviations).principal(token)
    return refused.value.code


# Tokens that are good


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_token_of_every_role_gives_its_principal(role):
    principal = a_verifier().principal(a_token(role=role, org="org-1"))
    assert principal.role == role
    assert principal.org == "org-1"
    assert principal.scopes == ROLE_SCOPES[Role(role)]
    assert principal.tenant == ("org-1" if role in ("lender", "compliance", "counsel") else None)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec"), (KEY, "EdDSA", KID)],
    ids=["rsa", "ec", "ed"],
)
def test_each_allowed_algorithm_verifies(key, algorithm, kid):
    assert a_verifier().principal(signed(claims(), key=key, algorithm=algorithm, kid=kid)).subject == "anna"


def test_token_that_asks_for_less_gets_less():
    assert a_verifier().principal(a_token(scopes=["cases:read", "lenders:write"])).scopes == {"cases:read"}


def test_audience_may_be_one_of_several():
    assert a_verifier().principal(signed(claims(aud=["other", AUDIENCE]))).subject == "anna"


# Tokens that are not


def test_token_without_signature_algorithm_is_refused():
    unsigned = jwt.encode(claims(), None, algorithm="none", headers={"kid": KID})
    assert refusal_of(unsigned) in ("algorithm", "malformed")
    for spelling in ("none", "None", "NONE", "nOnE", "", None, 0, ["EdDSA"]):
        assert refusal_of(by_hand({"alg": spelling, "kid": KID}, claims())) in ("algorithm", "malformed")


def test_public_key_is_never_taken_for_a_shared_secret():
    secret = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed_part = by_hand({"alg": "HS256", "kid": "rsa"}, claims()).rpartition(".")[0]
    signature = hmac.digest(secret, signed_part.encode(), "sha256")
    assert refusal_of(by_hand({"alg": "HS256", "kid": "rsa"}, claims(), signature)) == "algorithm"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_algorithm_off_the_list_is_refused_even_with_a_right_signature(algorithm):
    assert refusal_of(signed(claims(), key=RSA_KEY, algorithm=algorithm, kid="rsa")) == "algorithm"


def test_algorithm_of_another_key_type_is_refused():
    assert refusal_of(by_hand({"alg": "ES256", "kid": "rsa"}, claims())) == "algorithm"
    assert refusal_of(by_hand({"alg": "RS256", "kid": KID}, claims())) == "algorithm"


def test_signature_of_another_key_is_refused():
    assert refusal_of(signed(claims(), key=OTHER_KEY)) == "InvalidSignatureError"


def test_altered_claims_are_refused():
    header, _, signature = signed(claims()).split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims(role="admin")).encode()).rstrip(b"=").decode()
    assert refusal_of(f"{header}.{payload}.{signature}") == "InvalidSignatureError"


@pytest.mark.parametrize("issuer", ["https://evil", ISSUER + "/", "", ISSUER.upper(), None, 5, [ISSUER]])
def test_other_issuer_is_refused(issuer):
    assert refusal_of(signed_raw(claims(iss=issuer)))


@pytest.mark.parametrize("audience", ["other", "", None, [], ["other"], 5, {"a": AUDIENCE}])
def test_other_audience_is_refused(audience):
    assert refusal_of(signed_raw(claims(aud=audience)))


def signed_raw(payload):
    """Sign claims that the library would not write."""
    return jwt.api_jws.encode(json.dumps(payload).encode(), KEY, algorithm="EdDSA", headers={"kid": KID})


def test_key_id_must_be_there_and_known():
    assert refusal_of(jwt.encode(claims(), KEY, algorithm="EdDSA")) == "key_id"
    assert refusal_of(signed(claims(), kid="nobody")) == "unknown_key"
    for kid in ("../../etc/passwd", "x" * 129, 5, None, ["a"], {"a": 1}):
        assert refusal_of(by_hand({"alg": "EdDSA", "kid": kid}, claims())) in ("key_id", "unknown_key", "malformed")


@pytest.mark.parametrize("field", ["jku", "x5u", "x5c", "jwk", "crit", "b64", "zip", "cty"])
def test_header_that_brings_its_own_key_or_extension_is_refused(field):
    assert refusal_of(by_hand({"alg": "EdDSA", "kid": KID, field: ["x"]}, claims())) in ("header", "malformed")


def test_token_of_another_type_is_refused():
    assert refusal_of(signed(claims(), typ="dpop+jwt")) == "header"
    assert a_verifier().principal(signed(claims(), typ="at+jwt")).subject == "anna"


def test_token_ends_five_seconds_after_its_expiry_and_not_before():
    token = signed(claims(exp=NOW + 60))
    assert a_verifier(now=NOW + 64.9).principal(token).subject == "anna"
    assert refusal_of(token, now=NOW + 65) == "expired"


def test_token_begins_five_seconds_before_its_start_and_not_earlier():
    token = signed(claims(nbf=NOW + 30))
    assert a_verifier(now=NOW + 25).principal(token).subject == "anna"
    assert refusal_of(token, now=NOW + 24.9) == "not_yet_valid"
    assert refusal_of(signed(claims(iat=NOW + 30, nbf=None)), now=NOW) == "not_yet_valid"


def test_token_that_lives_too_long_is_refused():
    assert a_verifier().principal(signed(claims(exp=NOW + MAX_LIFETIME_SECONDS))).subject == "anna"
    assert refusal_of(signed(claims(exp=NOW + MAX_LIFETIME_SECONDS + 1))) == "lifetime"
    assert refusal_of(signed(claims(exp=NOW, iat=NOW))) == "lifetime"


@pytest.mark.parametrize("name", ["exp", "iat", "iss", "aud", "sub", "jti", "role", "org", "tenant"])
def test_token_without_a_needed_claim_is_refused(name):
    assert refusal_of(signed(claims(**{name: None})))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["soon", True, [], {}, -1, 1e300, 10**400])
def test_instant_of_another_form_is_refused(name, value):
    assert refusal_of(signed_raw(claims(**{name: value})))


@pytest.mark.parametrize("name", ["sub", "role", "org", "tenant", "jti"])
@pytest.mark.parametrize("value", ["", "a#b", "../x", "x" * 81, "a\n", 5, True, ["a"], {"a": "b"}, "é"])
def test_claim_that_is_no_id_is_refused(name, value):
    assert refusal_of(signed_raw(claims(**{name: value})))


def test_agency_token_with_a_tenant_is_refused():
    assert refusal_of(signed(claims(role="agency", tenant="acme"))) == "claims"


@pytest.mark.parametrize("scope", [5, ["cases:read"], {"a": 1}, True])
def test_scope_claim_of_another_form_is_refused(scope):
    assert refusal_of(signed(claims(scope=scope))) == "claims"


def test_huge_token_is_refused_before_it_is_parsed():
    assert refusal_of(signed(claims(pad="x" * 5_000))) == "too_long"
    assert refusal_of("a." * 1_000_000) == "too_long"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "é.é.é",
        "a b.c.d",
        "\x00",
        "=.=.=",
        "null",
        "{}",
        "[].[].[]",
        "\ud800.a.b",
    ],
)
def test_what_is_no_token_is_refused(text):
    assert refusal_of(text)


def test_header_or_claims_nested_deep_are_refused_and_crash_nothing():
    deep = base64.urlsafe_b64encode(b'{"a":' * 800).rstrip(b"=").decode()
    good = signed(claims()).split(".")
    assert refusal_of(f"{deep}.{good[1]}.{good[2]}")
    assert refusal_of(jwt.api_jws.encode(b"[" * 1_000, KEY, algorithm="EdDSA", headers={"kid": KID}))
    assert refusal_of(signed_raw([1, 2]))


@budget(max_examples=300, deadline=None)
@given(st.data())
def test_no_token_with_any_character_changed_gets_in(data):
    token = signed(claims())
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_.=+/ \n\x00é"))
    bent = token[:place] + letter + token[place + 1 :]
    if _same_bytes(bent, token):
        return
    with pytest.raises(TokenRefused):
        a_verifier().principal(bent)


def _same_bytes(one, other):
    # The last character of an unpadded part has bits that mean nothing.
    try:
        return [base64.urlsafe_b64decode(part + "==") for part in one.split(".")] == [
            base64.urlsafe_b64decode(part + "==") for part in other.split(".")
        ]
    except ValueError:
        return False


@budget(max_examples=200, deadline=None)
@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_refused_and_crashes_nothing(text):
    with pytest.raises(TokenRefused):
        a_verifier().principal(text)


# Keys


class Feed:
    """An issuer whose key set, reachability and clock a test sets."""

    def __init__(self, document):
        self.document, self.time, self.fetches = document, 0.0, 0

    def fetch(self, _url):
        self.fetches += 1
        if self.document is None:
            raise OSError("away")
        return json.dumps(self.document).encode()

    def keys(self):
        return IssuerKeys("https://keys", fetch=self.fetch, monotonic=lambda: self.time)


def test_keys_are_fetched_once_for_many_tokens():
    feed = Feed(KEYS)
    keys = feed.keys()
    assert all(keys.key(KID) is not None for _ in range(100))
    assert feed.fetches == 1


def test_new_key_is_found_at_its_first_token_and_a_withdrawn_one_ends_within_ten_minutes():
    feed = Feed({"keys": [public_jwk(KEY)]})
    keys = feed.keys()
    assert keys.key(KID) is not None
    feed.document, feed.time = {"keys": [public_jwk(OTHER_KEY)]}, 31
    assert keys.key(public_jwk(OTHER_KEY)["kid"]) is not None
    assert keys.key(KID) is None


def test_withdrawn_key_is_dropped_without_any_new_key_being_asked_for():
    feed = Feed({"keys": [public_jwk(KEY)]})
    keys = feed.keys()
    assert keys.key(KID) is not None
    feed.document, feed.time = {"keys": []}, 599
    assert keys.key(KID) is not None
    feed.time = 600
    assert keys.key(KID) is None


def test_forged_key_ids_cost_one_fetch_in_thirty_seconds():
    feed = Feed(KEYS)
    keys = feed.keys()
    for number in range(1_000):
        assert keys.key(f"forged-{number}") is None
    assert feed.fetches == 1


def test_known_keys_serve_for_an_hour_when_the_issuer_is_away_and_then_nobody_gets_in():
    feed = Feed(KEYS)
    keys = feed.keys()
    assert keys.key(KID) is not None
    feed.document, feed.time = None, 3_599
    assert keys.key(KID) is not None
    feed.time = 3_600
    with pytest.raises(KeysUnavailable):
        keys.key(KID)
    feed.document, feed.time = KEYS, 3_640
    assert keys.key(KID) is not None


def test_nobody_gets_in_before_keys_were_ever_fetched():
    with pytest.raises(KeysUnavailable):
        Feed(None).keys().key(KID)


@pytest.mark.parametrize("document", [[], {}, {"keys": {}}, {"keys": None}, None, 5, "keys"])
def test_document_that_is_no_key_set_is_refused(document):
    with pytest.raises(ValueError):
        signing_keys(document)


def test_keys_that_are_weak_secret_for_encryption_or_broken_are_left_out():
    weak = jwk_of(rsa.generate_private_key(public_exponent=65_537, key_size=1_024), "RS256", "weak")
    left_out = [
        weak,
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"},
        {**public_jwk(KEY), "kid": "enc", "use": "enc"},
        {**public_jwk(KEY), "kid": "lie", "alg": "RS256"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "broken", "x": "!"},
        {"kty": "EC", "crv": "P-384", "kid": "curve", "x": "AA", "y": "AA"},
        {"kid": "nothing"},
        {name: value for name, value in public_jwk(KEY).items() if name != "kid"},
        "text",
        None,
    ]
    assert set(signing_keys({"keys": [*left_out, public_jwk(KEY)]})) == {KID}


@pytest.mark.parametrize(
    "url", ["http://issuer.test/jwks", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://127.0.0.1.evil.test/"]
)
def test_keys_come_over_https_or_loopback_only(url):
    with pytest.raises(OSError, match="HTTPS"):
        fetch_jwks(url)


# The local issuer


@pytest.fixture
def running_issuer(tmp_path, monkeypatch):
    monkeypatch.delenv("FORBEAR_OIDC_ISSUER", raising=False)
    key = local_issuer.signing_key(tmp_path / "issuer")
    server = local_issuer.serve(key, port=0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", key
    server.shutdown()
    server.server_close()
    thread.join()


def test_local_issuer_serves_discovery_and_the_keys_that_its_tokens_verify_with(running_issuer):
    url, key = running_issuer
    discovery = json.loads(fetch_jwks(f"{url}/.well-known/openid-configuration"))
    assert discovery["issuer"] == url
    verifier = Verifier(url, AUDIENCE, IssuerKeys(discovery["jwks_uri"]), now=time.time)
    token = make_token(role="collector", org="agency-1", subject="col_1", key=key, issuer=url, audience=AUDIENCE)
    principal = verifier.principal(token)
    assert principal.collector == "col_1"


def test_local_issuer_has_nothing_else_to_serve(running_issuer):
    url, _ = running_issuer
    for path in ("/", "/key.pem", "/../key.pem", "/jwks.json/x"):
        with pytest.raises(OSError):
            fetch_jwks(url + path)


def test_local_key_stays_the_same_and_is_its_owners_only(tmp_path):
    first = local_issuer.signing_key(tmp_path / "issuer")
    again = local_issuer.signing_key(tmp_path / "issuer")
    assert public_jwk(first) == public_jwk(again)
    assert (tmp_path / "issuer" / "key.pem").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "issuer").iterdir()] == ["key.pem"]


def test_the_promised_command_is_there_and_no_program_stands_in_the_librarys_place():
    asked = [sys.executable, "-m", "scripts.token", "--help"]
    assert b"--role" in subprocess.run(asked, cwd=ROOT, check=True, capture_output=True).stdout
    # A program that is started by its path looks beside itself first, for whatever the library imports.
    beside = {path.stem for path in (ROOT / "scripts").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert beside & sys.stdlib_module_names == set()
    by_path = [sys.executable, "scripts/verify_archive.py", "--help"]
    assert b"--key" in subprocess.run(by_path, cwd=ROOT, check=True, capture_output=True).stdout


def test_command_prints_a_token_without_a_running_issuer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(local_issuer, "signing_key", lambda: KEY)
    monkeypatch.setattr("scripts.tokens.signing_key", lambda: KEY)
    assert print_token(["--role", "compliance", "--org", "acme", "--ttl", "60"]) == 0
    told = jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})
    assert (told["role"], told["org"], told["tenant"], told["exp"] - told["iat"]) == ("compliance", "acme", "acme", 60)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--role", "agency", "--org", "a1", "--tenant", "acme"],
        ["--role", "lender", "--org", "a b"],
        ["--role", "lender", "--org", "acme", "--ttl", "0"],
        ["--role", "lender", "--org", "acme", "--ttl", str(MAX_LIFETIME_SECONDS + 1)],
    ],
)
def test_command_makes_no_token_that_the_api_would_refuse(arguments, capsys):
    assert print_token(arguments) == 2
    assert "no token" in capsys.readouterr().err


# The authorizer itself


@pytest.fixture
def authorize(monkeypatch):
    monkeypatch.setattr(authorizer, "verifier", a_verifier)

    def call(token, arn=ARN):
        return authorizer.authorize({"type": "TOKEN", "authorizationToken": token, "methodArn": arn}, None)

    return call


def test_policy_covers_every_route_of_this_stage_whatever_was_asked_for(authorize):
    token = f"Bearer {a_token()}"
    base = "arn:aws:execute-api:eu-west-1:123456789012:abc123/v"
    policies = [authorize(token, f"{base}/{asked}") for asked in ("GET/v1/cases/case_1", "POST/v1/x/*/y", "DELETE/")]
    assert all(policy == policies[0] for policy in policies)
    statement = policies[0]["policyDocument"]["Statement"]
    assert statement == [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": [f"{base}/*/*"]}]


def test_context_carries_the_principal_as_text(authorize):
    context = authorize(f"Bearer {a_token(role='agency', org='agency-1')}")["context"]
    assert all(isinstance(value, str) for value in context.values())
    principal = Principal.model_validate_json(context["principal"])
    assert (principal.role, principal.org, principal.tenant) == (Role.AGENCY, "agency-1", None)


@pytest.mark.parametrize(
    "token", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer x.y.z", "bearer", "\n", "Bearer  Bearer x"]
)
def test_bad_credential_is_unauthorized_in_the_words_that_the_gateway_knows(authorize, token):
    with pytest.raises(Exception) as refused:
        authorize(token)
    assert str(refused.value) == "Unauthorized"


def test_scheme_is_read_whatever_its_case(authorize):
    assert isinstance(authorize(f"bEARER {a_token()}"), dict)


def test_refusal_says_why_in_the_log_and_never_shows_the_token(authorize, capsys):
    token = signed(claims(aud="other"))
    with pytest.raises(Exception, match="Unauthorized"):
        authorize(f"Bearer {token}")
    line = capsys.readouterr().out
    assert "InvalidAudienceError" in line
    assert not any(part in line for part in token.split("."))


def test_lack_of_keys_is_a_fault_and_no_401(monkeypatch):
    monkeypatch.setattr(authorizer, "verifier", lambda: Verifier(ISSUER, AUDIENCE, Feed(None).keys(), now=lambda: NOW))
    with pytest.raises(KeysUnavailable):
        authorizer.authorize({"type": "TOKEN", "authorizationToken": f"Bearer {a_token()}", "methodArn": ARN}, None)


def test_without_the_local_gateway_the_exception_is_a_plain_one(monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "chalice.local", raising=False)
    assert type(authorizer.unauthorized()) is Exception
    assert str(authorizer.unauthorized()) == "Unauthorized"


def test_two_callers_one_after_the_other_share_nothing(authorize):
    first = authorize(f"Bearer {a_token(org='acme')}")
    second = authorize(f"Bearer {a_token(org='bank')}")
    assert "acme" not in json.dumps(second) and "bank" not in json.dumps(first)
    assert isinstance(AuthResponse([], "x").context, dict)
