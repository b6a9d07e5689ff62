"""Fixtures that every kind of test shares: an AWS in process, the tables in it, and a store over them."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
import botocore.loaders
import botocore.session
import hypothesis
import pynamodb.connection.base
import pytest
from botocore.session import get_session
from moto import mock_aws

from chalicelib import settings as settings_module
from chalicelib.domain.residency import resource_names
from chalicelib.gateways import clients
from chalicelib.gateways.region_keys import KmsDataKeys
from chalicelib.store import tables
from chalicelib.store.repository import Store
from chalicelib.store.sealing import Sealer
from tests.builders import LENDER, Scope
from tests.direct_calls import direct
from tests.transactions import swift

# What a test says follows from the code alone; ``make campaign-properties`` draws other examples each time.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("drawn", derandomize=False, print_blob=True)
hypothesis.settings.load_profile("same")

REGION = "eu-west-1"
ACCOUNT = "123456789012"

ENVIRONMENT = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    # The double does not know the hosts that carry an account id.
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
    "FORBEAR_STAGE": "test",
    "FORBEAR_ACCOUNT": ACCOUNT,
    "FORBEAR_AUDIT_DOMAIN": "forbear.test",
    "FORBEAR_OIDC_ISSUER": "https://issuer.forbear.test",
    "FORBEAR_OIDC_AUDIENCE": "forbear-api",
    "FORBEAR_OIDC_JWKS_URL": "https://issuer.forbear.test/jwks.json",
    "FORBEAR_SENDER_EMAIL": "collections@forbear.test",
    "FORBEAR_WECHAT_URL": "http://127.0.0.1:1",
}

NAMES = resource_names(region=REGION, stage="test", account=ACCOUNT)
"""What everything of the stage ``test`` is called."""

QUEUES = (
    "portfolio-uploads",
    "portfolio-chunks",
    "assignments",
    "compliance.fifo",
    "dispatch",
    "provider-events",
    "simulations",
    "exports",
)


@pytest.fixture(scope="session", autouse=True)
def _service_models_read_once() -> Iterator[None]:
    """Let all clients of a run share one loader of service models: looking for them is most of a fixture's time."""
    shared = cache(botocore.loaders.create_loader)
    with patch.object(botocore.session, "create_loader", shared):
        yield


class LotsSoFar:
    """Tells, lot by lot of a long campaign, what was counted so far and how long it took."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        """Take where to print."""
        self._reporter, self._began, self._counted, self._lots = reporter, time.monotonic(), Counter[str](), 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print a line for a lot that has ended."""
        for name, value in report.user_properties:
            if name == "campaign" and report.when == "teardown":
                self._lots += 1
                self._counted.update(value)
                told = ", ".join(f"{number:,} {what}" for what, number in self._counted.items())
                self._reporter.write_line(f" {time.monotonic() - self._began:,.0f} s, {self._lots} lots: {told}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Show the progress of a campaign that was asked for by its size."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and {"PERSONS", "CANARIES"} & os.environ.keys():
        config.pluginmanager.register(LotsSoFar(reporter))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the lots of a campaign counted (``record_property("campaign", {what: how many})``), added up."""
    counted, lots = Counter[str](), 0
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "campaign":
                lots += 1
                counted.update(value)
    if counted:
        told = ", ".join(f"{number:,} {what}" for what, number in counted.items())
        wrong = len(terminalreporter.getreports("failed")) + len(terminalreporter.getreports("error"))
        terminalreporter.write_line(f"campaign: {lots} lots held, {wrong} did not; {told}")


@pytest.fixture(scope="session", autouse=True)
def _transactions_copy_no_tables() -> Iterator[None]:
    """Let the double's transactions take as long in a full table as in an empty one."""
    with swift():
        yield


@pytest.fixture(scope="session", autouse=True)
def _table_models_call_directly() -> Iterator[None]:
    """Let no call of the table models go through HTTP to a double in the same process."""
    with direct():
        yield


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the process the settings of the stage ``test`` and nothing of the machine's own AWS configuration."""
    for variable in [name for name in os.environ if name.startswith(("AWS_", "FORBEAR_"))]:
        monkeypatch.delenv(variable)
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    _forget()


@pytest.fixture
def aws(environment: None) -> Iterator[None]:
    """Run the test inside an AWS in process, with the three tables and the three KMS keys of the stage ``test``."""
    with mock_aws(), in_process():
        yield


@contextmanager
def in_process() -> Iterator[None]:
    """Create the tables and the keys in the AWS that the process is in; drop what it kept of another before, and of it after."""
    _forget()
    # Every model's connection otherwise makes a session of its own, which takes longer than what a test does with it.
    with patch.object(pynamodb.connection.base, "get_session", cache(get_session)):
        _connect_afresh()
        create_tables()
        _create_keys()
        try:
            yield
        finally:
            _forget()


@pytest.fixture
def queues(aws: None) -> list[str]:
    """Create the stage's queues and return their short names."""
    sqs = boto3.client("sqs")
    for name in QUEUES:
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        sqs.create_queue(QueueName=f"forbear-test-{name}", Attributes=fifo)
    return list(QUEUES)


@pytest.fixture
def buckets(aws: None) -> list[str]:
    """Create the stage's buckets (the archive with Object Lock) and return their names."""
    s3 = boto3.client("s3")
    names = [getattr(NAMES, f"{kind}_bucket") for kind in ("uploads", "letters", "reports", "archive", "exports")]
    for name in names:
        s3.create_bucket(
            Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": REGION},
            ObjectLockEnabledForBucket=name == NAMES.archive_bucket,
        )
    return names


@pytest.fixture
def store(aws: None) -> Store:
    """Return a repository over empty tables, with the real sealing under a KMS key."""
    return Store(Sealer(KmsDataKeys(NAMES.data_key)), audit_domain=ENVIRONMENT["FORBEAR_AUDIT_DOMAIN"])


@pytest.fixture
def scope() -> Scope:
    """Return the scope of the builders' lender."""
    return Scope(LENDER)


def create_tables() -> None:
    """Create the three tables from their models; the main one with the stream that is the outbox."""
    for model in (tables.Record, tables.View, tables.SubjectKey):
        model.Meta.stream_view_type = "NEW_IMAGE"  # type: ignore[attr-defined]
        if model is not tables.Record:
            del model.Meta.stream_view_type  # type: ignore[attr-defined]
        model.create_table(wait=True, billing_mode="PAY_PER_REQUEST")


def _create_keys() -> None:
    kms = boto3.client("kms")
    signing = {"KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256"}
    specs: dict[str, dict[str, Any]] = {
        NAMES.data_key: {},
        NAMES.approval_key: signing,
        NAMES.archive_key_p256: signing,
    }
    for alias, spec in specs.items():
        key = kms.create_key(**spec)["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=alias, TargetKeyId=key)


def _connect_afresh() -> None:
    for model in (tables.Record, tables.View, tables.SubjectKey):
        model.Meta.table_name = ""
    tables.connect(settings_module.names())


def _forget() -> None:
    """Drop everything that a process keeps for its life: it belongs to the test before."""
    settings_module.settings.cache_clear()
    settings_module.names.cache_clear()
    # Wiring is loaded by the tests of the edge only, and then it holds ports that were built for another test.
    loaded = [sys.modules.get(f"chalicelib.{name}") for name in ("wiring", "edge.admissions")]
    for module in filter(None, (*loaded, clients, tables)):
        for value in vars(module).values():
            if callable(getattr(value, "cache_clear", None)):
                value.cache_clear()
    for model in (tables.Record, tables.View, tables.SubjectKey):
        model._connection = None
