"""What is deployed: the template as built, the rights of each function, and each handler out of the unpacked package."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore
import pytest

from chalicelib.domain.audit.export import LIFE, LINK_SECONDS
from scripts.cloud import schedules
from scripts.package import IN_THE_RUNTIME, ROOT, Package, inputs_digest, package
from tests.contracts.emulated import EMULATOR_PYTHON, Emulator

EVENTS = Path(__file__).parents[1] / "events"
CONSUMERS = {
    "start_portfolio": "PortfolioUploads",
    "load_portfolio_chunk": "PortfolioChunks",
    "assign_cases": "Assignments",
    "check_compliance": "Compliance",
    "dispatch_messages": "Dispatch",
    "settle_provider_events": "ProviderEvents",
    "run_simulation": "Simulations",
    "export_archive": "Exports",
}
SENDING = ("sns:", "ses:")


@pytest.fixture(scope="module")
def built() -> Package:
    """Build the package, or take the one that was built from the same inputs."""
    return package("local")


@pytest.fixture(scope="module")
def resources(built: Package) -> dict[str, Any]:
    """Return the resources of the template as it is deployed."""
    found: dict[str, Any] = json.loads(built.template.read_text())["Resources"]
    return found


@pytest.fixture(scope="module")
def functions(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the properties of every function by its name."""
    return {
        found["Properties"]["FunctionName"]["Fn::Sub"].removeprefix("forbear-${Stage}-"): {
            **found["Properties"],
            "logical": logical,
            "DependsOn": found.get("DependsOn", []),
        }
        for logical, found in resources.items()
        if found["Type"] == "AWS::Serverless::Function"
    }


@pytest.fixture(scope="module")
def statements(resources: dict[str, Any], functions: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return what each function's role says."""
    roles = {name: resources[found["Role"]["Fn::GetAtt"][0]]["Properties"] for name, found in functions.items()}
    return {
        name: [statement for policy in role["Policies"] for statement in policy["PolicyDocument"]["Statement"]]
        for name, role in roles.items()
    }


def actions(statement: dict[str, Any]) -> list[str]:
    """Return the actions of a statement as a list."""
    named = statement["Action"]
    return [named] if isinstance(named, str) else list(named)


def who_may(statements: dict[str, list[dict[str, Any]]], prefix: str) -> set[str]:
    """Return the functions whose role allows an action that begins so."""
    return {
        name
        for name, said in statements.items()
        for statement in said
        if statement["Effect"] == "Allow" and any(action.lower().startswith(prefix) for action in actions(statement))
    }


# Rights


def test_no_right_is_granted_by_wildcard_action(statements: dict[str, list[dict[str, Any]]]) -> None:
    granted = [action for said in statements.values() for statement in said for action in actions(statement)]
    assert granted
    assert [action for action in granted if "*" in action] == []


def test_only_the_dispatcher_may_send(statements: dict[str, list[dict[str, Any]]]) -> None:
    for service in SENDING:
        assert who_may(statements, service) == {"dispatch_messages"}


def test_the_dispatcher_may_publish_to_telephones_and_to_no_topic(statements: dict[str, list[dict[str, Any]]]) -> None:
    (denied,) = [said for said in statements["dispatch_messages"] if said["Effect"] == "Deny"]
    assert actions(denied) == ["sns:Publish"]
    assert denied["Resource"] == {"Fn::Sub": "arn:${AWS::Partition}:sns:*:*:*"}


def test_only_the_dispatcher_may_file_letters(statements: dict[str, list[dict[str, Any]]]) -> None:
    writers = {
        name
        for name, said in statements.items()
        for statement in said
        if "s3:PutObject" in actions(statement) and "LettersBucket" in json.dumps(statement["Resource"])
    }
    assert writers == {"dispatch_messages"}


def test_only_the_compliance_function_may_certify_approvals(statements: dict[str, list[dict[str, Any]]]) -> None:
    assert signers(statements, "ApprovalKey") == {"check_compliance"}


def test_a_simulation_can_neither_sign_nor_send_nor_reach_a_queue_but_its_own(
    statements: dict[str, list[dict[str, Any]]],
) -> None:
    said = statements["run_simulation"]
    granted = {action for statement in said for action in actions(statement)}
    assert {action for action in granted if action.startswith(("kms:", "sns:", "ses:", "s3:"))} == {"kms:Decrypt"}
    (enqueue,) = [statement for statement in said if "sqs:SendMessage" in actions(statement)]
    assert enqueue["Resource"] == {"Fn::GetAtt": ["SimulationsQueue", "Arn"]}
    (views,) = [statement for statement in said if "ViewTable" in json.dumps(statement["Resource"])]
    assert actions(views) == ["dynamodb:Query"]


def test_who_packs_exports_has_no_key_and_writes_no_archive(statements: dict[str, list[dict[str, Any]]]) -> None:
    said = statements["export_archive"]
    granted = {action for statement in said for action in actions(statement)}
    assert not [action for action in granted if action.startswith(("kms:", "sns:", "ses:"))]
    assert "SubjectKeyTable" not in json.dumps(said)
    writing = [each for each in said if {"s3:PutObject", "s3:DeleteObject"} & set(actions(each))]
    assert [each["Resource"] for each in writing] == [{"Fn::Sub": "${ExportsBucket.Arn}/*"}]
    (enqueue,) = [each for each in said if "sqs:SendMessage" in actions(each)]
    assert enqueue["Resource"] == {"Fn::GetAtt": ["ExportsQueue", "Arn"]}
    (views,) = [each for each in said if "ViewTable" in json.dumps(each["Resource"])]
    assert actions(views) == ["dynamodb:GetItem", "dynamodb:Query"]


def test_exports_are_gone_after_a_week_and_links_to_them_after_minutes(resources: dict[str, Any]) -> None:
    (rule,) = resources["ExportsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert timedelta(days=rule["ExpirationInDays"]) == LIFE
    policy = resources["ExportsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (bound,) = [each for each in policy if "NumericGreaterThan" in each.get("Condition", {})]
    assert bound["Action"] == "s3:GetObject" and bound["Effect"] == "Deny"
    assert int(bound["Condition"]["NumericGreaterThan"]["s3:signatureAge"]) >= LINK_SECONDS * 1000


def test_only_the_archiver_may_sign_checkpoints(statements: dict[str, list[dict[str, Any]]]) -> None:
    assert signers(statements, "ArchiveKeyEd25519") == {"archive_events"}
    assert signers(statements, "ArchiveKeyP256") == {"archive_events"}
    assert who_may(statements, "kms:sign") == {"check_compliance", "archive_events"}


def signers(statements: dict[str, list[dict[str, Any]]], key: str) -> set[str]:
    """Return the functions that may sign with a key."""
    return {
        name
        for name, said in statements.items()
        for statement in said
        if "kms:Sign" in actions(statement) and key in json.dumps(statement["Resource"])
    }


def test_only_the_archiver_writes_to_the_archive_and_nobody_may_delete_there(
    statements: dict[str, list[dict[str, Any]]],
) -> None:
    archive = [
        (name, action)
        for name, said in statements.items()
        for statement in said
        if "ArchiveBucket" in json.dumps(statement["Resource"])
        for action in actions(statement)
    ]
    putting = {(name, action) for name, action in archive if action.startswith("s3:Put")}
    assert putting == {
        ("archive_events", "s3:PutObject"),
        # A put that says its own lock needs this right as well.
        ("archive_events", "s3:PutObjectRetention"),
        ("keep_archive", "s3:PutObjectRetention"),
        ("keep_archive", "s3:PutObjectLegalHold"),
    }
    assert [pair for pair in archive if "Delete" in pair[1] or "Bypass" in pair[1]] == []


def test_resources_are_named_except_where_the_service_knows_none(statements: dict[str, list[dict[str, Any]]]) -> None:
    everything = {
        action
        for said in statements.values()
        for statement in said
        if statement["Resource"] == "*" and statement["Effect"] == "Allow"
        for action in actions(statement)
    }
    assert everything == {"sns:Publish", "dynamodb:ListStreams"}


def test_nobody_may_scan_or_delete_a_record(statements: dict[str, list[dict[str, Any]]]) -> None:
    for said in statements.values():
        for statement in said:
            assert "dynamodb:Scan" not in actions(statement)
            if "RecordTable" in json.dumps(statement["Resource"]):
                assert "dynamodb:DeleteItem" not in actions(statement)


def test_each_function_has_a_role_of_its_own_and_may_write_its_own_log_only(
    functions: dict[str, dict[str, Any]], statements: dict[str, list[dict[str, Any]]]
) -> None:
    roles = [found["Role"]["Fn::GetAtt"][0] for found in functions.values()]
    assert len(set(roles)) == len(functions) == 15
    for name, said in statements.items():
        (logs,) = [statement for statement in said if actions(statement)[0].startswith("logs:")]
        assert logs["Resource"]["Fn::Sub"].endswith(f":log-group:/aws/lambda/forbear-${{Stage}}-{name}:*")


def test_a_consumer_may_take_from_its_own_queue_only(statements: dict[str, list[dict[str, Any]]]) -> None:
    for name, said in statements.items():
        taking = [statement for statement in said if "sqs:ReceiveMessage" in actions(statement)]
        assert [statement["Resource"] for statement in taking] == (
            [{"Fn::GetAtt": [f"{CONSUMERS[name]}Queue", "Arn"]}] if name in CONSUMERS else []
        )


# Event sources


def test_every_queue_consumer_reports_failed_items(functions: dict[str, dict[str, Any]]) -> None:
    for name in CONSUMERS:
        (source,) = functions[name]["Events"].values()
        assert source["Type"] == "SQS"
        assert source["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_stream_mapping_retries_halves_and_sets_aside(functions: dict[str, dict[str, Any]]) -> None:
    (source,) = functions["project_events"]["Events"].values()
    terms = source["Properties"]
    assert source["Type"] == "DynamoDB"
    assert terms["Stream"] == {"Fn::GetAtt": ["RecordTable", "StreamArn"]}
    assert terms["StartingPosition"] == "TRIM_HORIZON"
    assert terms["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert terms["BisectBatchOnFunctionError"] is True
    assert 0 < terms["MaximumRetryAttempts"] <= 10_000
    assert 0 < terms["MaximumRecordAgeInSeconds"] < 24 * 3600
    assert terms["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["EventsDeadLetters", "Arn"]}
    (wanted,) = terms["FilterCriteria"]["Filters"]
    pattern = json.loads(wanted["Pattern"])
    assert pattern == {"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "EV#"}]}}}}


def test_the_local_schedules_are_those_of_the_template(functions: dict[str, dict[str, Any]]) -> None:
    units = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
    found = {}
    for name, properties in functions.items():
        for source in properties.get("Events", {}).values():
            if source["Type"] == "Schedule":
                number, unit = source["Properties"]["Schedule"].removeprefix("rate(").rstrip(")").split()
                found[name] = int(number) * units[unit]
    assert found == {name: every.total_seconds() for name, every in schedules.EVERY.items()}


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run(
    functions: dict[str, dict[str, Any]], resources: dict[str, Any]
) -> None:
    for name, queue in CONSUMERS.items():
        properties = resources[f"{queue}Queue"]["Properties"]
        assert properties["VisibilityTimeout"] >= 6 * functions[name]["Timeout"]


def test_every_queue_has_dead_letters_of_its_kind_with_an_alarm(resources: dict[str, Any]) -> None:
    alarmed = {
        dimension["Value"]["Fn::GetAtt"][0]
        for found in resources.values()
        if found["Type"] == "AWS::CloudWatch::Alarm"
        for dimension in found["Properties"]["Dimensions"]
        if dimension["Name"] == "QueueName"
    }
    queues = {name for name, found in resources.items() if found["Type"] == "AWS::SQS::Queue"}
    for name in sorted(queues):
        properties = resources[name]["Properties"]
        if name.endswith("DeadLetters"):
            assert properties["MessageRetentionPeriod"] == 14 * 24 * 3600
            assert name in alarmed
        else:
            target = properties["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
            assert target in queues
            assert resources[target]["Properties"].get("FifoQueue") == properties.get("FifoQueue")


def test_every_function_has_a_log_that_ends_and_an_alarm_for_errors(
    functions: dict[str, dict[str, Any]], resources: dict[str, Any]
) -> None:
    for name, properties in functions.items():
        log = resources[f"{properties['logical']}Logs"]
        assert log["Properties"]["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/forbear-${{Stage}}-{name}"}
        assert log["Properties"]["RetentionInDays"] == {"Ref": "LogDays"}
        assert f"{properties['logical']}Logs" in properties["DependsOn"]
        assert resources[f"{properties['logical']}Errors"]["Properties"]["MetricName"] == "Errors"


# Data


def test_tables_are_kept_encrypted_and_restorable(resources: dict[str, Any]) -> None:
    tables = [found for found in resources.values() if found["Type"] == "AWS::DynamoDB::Table"]
    assert len(tables) == 3
    for table in tables:
        assert table["DeletionPolicy"] == "Retain"
        assert table["Properties"]["SSESpecification"]["SSEEnabled"] is True
        assert table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table["Properties"]["DeletionProtectionEnabled"] == {"Fn::If": ["Kept", True, False]}


def test_the_archive_is_locked_for_seven_years_and_never_written_over(
    built: Package, resources: dict[str, Any]
) -> None:
    archive = resources["ArchiveBucket"]["Properties"]
    rule = archive["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert (archive["ObjectLockEnabled"], rule["Mode"], rule["Years"]) == (True, "COMPLIANCE", {"Ref": "ArchiveYears"})
    assert json.loads(built.template.read_text())["Parameters"]["ArchiveYears"]["Default"] == 7
    said = resources["ArchiveBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    # Two statements are for every stage but the local one: it has no TLS, and its emulator does not know the condition.
    policy = [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in said]
    denied = {statement["Sid"]: statement for statement in policy}
    assert denied["NothingIsOverwritten"]["Condition"] == {"Null": {"s3:if-none-match": "true"}}
    assert set(actions(denied["NothingIsRemoved"])) == {"s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"}
    assert {statement["Effect"] for statement in policy} == {"Deny"}


def test_no_bucket_can_be_made_public(resources: dict[str, Any]) -> None:
    buckets = [found["Properties"] for found in resources.values() if found["Type"] == "AWS::S3::Bucket"]
    assert len(buckets) == 5
    for bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert "BucketEncryption" in bucket


def test_refusals_of_the_gateway_are_problems_like_any_other(resources: dict[str, Any]) -> None:
    api = resources["RestAPI"]["Properties"]
    assert api["EndpointConfiguration"] == "REGIONAL"
    for answer in api["GatewayResponses"].values():
        body = json.loads(answer["ResponseTemplates"]["application/json"])
        assert answer["ResponseParameters"]["Headers"]["Content-Type"] == "'application/problem+json'"
        assert body["status"] == int(answer["StatusCode"])
        assert body["type"] == f"urn:forbear:problem:{body['code']}"


def test_a_pdf_leaves_the_gateway_as_bytes(resources: dict[str, Any]) -> None:
    document = resources["RestAPI"]["Properties"]["DefinitionBody"]
    assert "application/pdf" in document["x-amazon-apigateway-binary-media-types"]


def test_every_route_but_the_public_ones_asks_the_authorizer(resources: dict[str, Any]) -> None:
    paths = resources["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    open_routes = {
        path
        for path, methods in paths.items()
        for method, about in methods.items()
        if method != "options" and not about.get("security")
    }
    assert open_routes == {"/v1/health", "/v1/openapi.json"}


def test_the_template_passes_the_linter(built: Package) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), built.template], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


# The zip


def test_the_package_holds_the_service_and_not_what_the_runtime_brings(built: Package) -> None:
    with zipfile.ZipFile(built.archive) as zipped:
        names = zipped.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {"app.py", "chalicelib", "chalice", "pydantic", "pynamodb"} <= tops
    assert tops.isdisjoint(IN_THE_RUNTIME)
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("tests/") or "conftest" in name] == []
    assert built.archive.stat().st_size < 50_000_000


def test_the_package_of_the_same_inputs_is_not_built_again(built: Package) -> None:
    before = built.archive.stat().st_mtime_ns
    again = package("local")
    assert (again.built, again.digest, again.archive.stat().st_mtime_ns) == (False, built.digest, before)


def test_stages_have_digests_of_their_own() -> None:
    assert len({inputs_digest("aws"), inputs_digest("local"), inputs_digest("aws", with_sdk=True)}) == 3


def test_every_module_has_byte_code_that_is_taken_unchecked(built: Package) -> None:
    with zipfile.ZipFile(built.archive) as zipped:
        names = set(zipped.namelist())
        modules = [name for name in names if name.startswith("chalicelib/") and name.endswith(".py")]
        for name in modules:
            folder, _, file = name.rpartition("/")
            compiled = f"{folder}/__pycache__/{file.removesuffix('.py')}.cpython-311.pyc"
            assert compiled in names
        flags = zipped.read("chalicelib/__pycache__/settings.cpython-311.pyc")[4:8]
    assert int.from_bytes(flags, "little") == 0b01  # PEP 552: by hash, not checked


# Handlers out of the package

_INVOKE = """
import importlib, json, sys
module, _, name = sys.argv[1].rpartition(".")
told = json.load(open(sys.argv[2]))
class Context:
    function_name, function_version, memory_limit_in_mb = sys.argv[3], "$LATEST", 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:" + sys.argv[3]
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    log_group_name = log_stream_name = "log"
    def get_remaining_time_in_millis(self): return 30_000
handler = getattr(importlib.import_module(module), name)
out = sys.stdout
sys.stdout = sys.stderr
try:
    answer = handler(told["event"], Context())
except Exception as error:
    answer = str(error)
print(json.dumps(answer), file=out, flush=True)
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve empty tables and the keys."""
    emulator = Emulator(tmp_path_factory.mktemp("aws") / "home")
    emulator.home.mkdir()
    emulator.start()
    for name in ("record", "view", "subject-key"):
        index = {
            "IndexName": "due",
            "KeySchema": [
                {"AttributeName": "due_shard", "KeyType": "HASH"},
                {"AttributeName": "due_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        emulator.client("dynamodb").create_table(
            TableName=f"forbear-local-{name}",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": "S"}
                for key in ("pk", "sk", *(("due_shard", "due_at") if name == "record" else ()))
            ],
            BillingMode="PAY_PER_REQUEST",
            **({"GlobalSecondaryIndexes": [index]} if name == "record" else {}),
        )
    keys = emulator.client("kms")
    for alias, spec in (
        ("data", "SYMMETRIC_DEFAULT"),
        ("approval", "ECC_NIST_P256"),
        ("archive-p256", "ECC_NIST_P256"),
        ("archive-ed25519", "ECC_NIST_EDWARDS25519"),
    ):
        usage = "ENCRYPT_DECRYPT" if spec == "SYMMETRIC_DEFAULT" else "SIGN_VERIFY"
        key = keys.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
        keys.create_alias(AliasName=f"alias/forbear-local-{alias}", TargetKeyId=key)
    yield f"http://127.0.0.1:{emulator.port}"
    emulator.kill()


@pytest.mark.skipif(not EMULATOR_PYTHON.exists(), reason="the emulator's environment is not installed")
def test_every_handler_answers_its_recorded_event_from_the_unpacked_package(
    built: Package, functions: dict[str, dict[str, Any]], aws: str, tmp_path: Path
) -> None:
    """Only the package and the SDK of the runtime can be imported; each handler runs in a process of its own."""
    code, sdk = tmp_path / "code", tmp_path / "sdk"
    with zipfile.ZipFile(built.archive) as zipped:
        zipped.extractall(code)
    sdk.mkdir()
    installed = Path(botocore.__file__).parents[1]
    for name in IN_THE_RUNTIME:
        found = installed / name if (installed / name).exists() else installed / f"{name}.py"
        (sdk / found.name).symlink_to(found)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{code}:{sdk}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": aws,
        **_settings(aws),
    }
    assert {path.stem for path in EVENTS.glob("*.json")} == set(functions)
    running = {
        name: subprocess.Popen(
            [sys.executable, "-S", "-c", _INVOKE, properties["Handler"], EVENTS / f"{name}.json", name],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, properties in functions.items()
    }
    unexpected = {}
    for name, process in running.items():
        said, complained = process.communicate(timeout=120)
        assert process.returncode == 0, f"{name}: {complained[-2000:]}"
        expected, answer = json.loads((EVENTS / f"{name}.json").read_text())["answer"], json.loads(said)
        if isinstance(expected, dict) and isinstance(answer, dict):
            answer = {key: answer.get(key) for key in expected}
        if answer != expected:
            unexpected[name] = (answer, complained[-600:])
    assert unexpected == {}


def _settings(endpoint: str) -> dict[str, str]:
    """Return what the template puts into a function's environment, for these doubles."""
    names = json.loads((ROOT / "infra/template.json").read_text())["Globals"]["Function"]["Environment"]["Variables"]
    known = {
        "FORBEAR_STAGE": "local",
        "FORBEAR_ACCOUNT": "123456789012",
        "FORBEAR_QUEUE_URL_PREFIX": f"{endpoint}/123456789012/forbear-local-",
        "FORBEAR_OIDC_JWKS_URL": f"{endpoint}/jwks.json",
        "FORBEAR_CLOCK_URL": "",
        "FORBEAR_TIME_AUTHORITY_URL": "",
    }
    return {name: known.get(name, "local") for name in names}
