"""SageMaker through boto3: moto is the service, and a stub server is where it fails. Run by tests/e2e/test_registries.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from support.stub import Asked, Fault, Reply, Stub
from support.verdict_registry import RegistryContract, Tried, keys  # noqa: F401

from llmgate.errors import CannotRunError, PromotionRefusedError, UsageError
from llmgate.promote.elsewhere import sagemaker
from llmgate.promote.elsewhere.failures import AbsentError
from llmgate.promote.elsewhere.opened import open_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.verdicts import Keys

REGION, BUCKET, GROUP = "eu-west-1", "weights", "support-bot"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws() -> Iterator[Any]:
    with mock_aws():
        boto3.client("s3", region_name=REGION).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        client = boto3.client("sagemaker", region_name=REGION)
        client.create_model_package_group(ModelPackageGroupName=GROUP, ModelPackageGroupDescription="bots")
        for number in (1, 2):
            register(client, f"s3://{BUCKET}/models/{number}/model.tar.gz")
        yield client


def register(client: Any, data: str, **given: Any) -> str:
    made = client.create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": "llm:1", "ModelDataUrl": data}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        **given,
    )
    return str(made["ModelPackageArn"])


@pytest.fixture
def tried(aws: Any, keys: Keys) -> Tried:  # noqa: F811
    registry, address = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/1")
    return Tried(registry, address.model, "1", "2", keys)


def status(client: Any, number: int) -> str:
    arn = f"arn:aws:sagemaker:{REGION}:123456789012:model-package/{GROUP}/{number}"
    return str(client.describe_model_package(ModelPackageName=arn).get("ModelApprovalStatus"))


class TestContract(RegistryContract):
    pass


def test_exactly_one_version_is_approved(tried: Tried, aws: Any) -> None:
    tried.crowned()
    assert (status(aws, 1), status(aws, 2)) == ("Approved", "PendingManualApproval")
    tried.promote("2", tried.verdict("2"))
    assert (status(aws, 1), status(aws, 2)) == ("PendingManualApproval", "Approved")
    version = tried.registry.version(GROUP, "2")
    told = aws.describe_model_package(ModelPackageName=version.handle)
    assert told["CustomerMetadataProperties"]["llmgate.over"] == "1"
    assert told["ApprovalDescription"] == f"llmgate: verdict {version.earned['champion']}"


def test_other_peoples_properties_stay(aws: Any, keys: Keys) -> None:  # noqa: F811
    register(aws, f"s3://{BUCKET}/3", CustomerMetadataProperties={"team": "search"})
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/3")
    tried = Tried(registry, GROUP, "3", "2", keys)
    tried.crowned()
    told = aws.describe_model_package(ModelPackageName=registry.version(GROUP, "3").handle)
    assert told["CustomerMetadataProperties"]["team"] == "search"


def test_an_interruption_between_the_two_approvals_is_finished_later(
    tried: Tried, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried.crowned()
    text = tried.verdict("2")

    def fail(*given: Any) -> None:
        raise CannotRunError("SageMaker does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(sagemaker.SageMakerRegistry, "finish", fail)
        with pytest.raises(CannotRunError):
            tried.promote("2", text)
    assert (status(aws, 1), status(aws, 2)) == ("Approved", "Approved")
    assert tried.held_by() == "2"  # it names the one that it replaces
    assert tried.promote("2").granted is None
    assert (status(aws, 1), status(aws, 2)) == ("PendingManualApproval", "Approved")


def test_two_that_were_approved_by_hand(tried: Tried, aws: Any) -> None:
    for number in ("1", "2"):
        version = tried.registry.version(GROUP, number)
        aws.update_model_package(
            ModelPackageArn=version.handle, ModelApprovalStatus="Approved", CustomerMetadataProperties={}
        )
    with pytest.raises(PromotionRefusedError, match="the versions 1, 2 are all Approved"):
        tried.held_by()


def test_the_hundred_and_first_version(aws: Any, keys: Keys) -> None:  # noqa: F811
    for number in range(3, 102):
        register(aws, f"s3://{BUCKET}/models/{number}")
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/101")
    assert registry.version(GROUP, "101").source == f"s3://{BUCKET}/models/101"
    tried = Tried(registry, GROUP, "1", "101", keys)
    tried.crowned()
    assert tried.promote("101", tried.verdict("101")).granted == "promoted"


def test_weights_outside_s3_need_a_place_for_verdicts(aws: Any, keys: Keys) -> None:  # noqa: F811
    register(aws, "https://example.org/model.tar.gz")
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/3")
    tried = Tried(registry, GROUP, "3", "2", keys)
    with pytest.raises(UsageError, match="no place for its verdicts"):
        tried.promote("3", tried.verdict("3"))
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/3", verdicts_at=f"s3://{BUCKET}/kept/")
    Tried(registry, GROUP, "3", "2", keys).crowned()
    kept = boto3.client("s3", region_name=REGION).list_objects_v2(Bucket=BUCKET, Prefix="kept/")["Contents"]
    assert [entry["Key"].split("/")[:4] for entry in kept] == [["kept", "123456789012", REGION, GROUP]]
    with pytest.raises(UsageError, match="no place in S3"):
        open_elsewhere(f"sagemaker://{REGION}/{GROUP}/3", verdicts_at="gs://bucket")


def test_a_verdict_that_was_exchanged_in_s3(tried: Tried) -> None:
    tried.crowned()
    text = tried.verdict("2", outcome="FAIL")
    with pytest.raises(PromotionRefusedError, match="FAIL"):
        tried.promote("2", text)
    s3 = boto3.client("s3", region_name=REGION)
    (key,) = [e["Key"] for e in s3.list_objects_v2(Bucket=BUCKET)["Contents"] if "/2-" in e["Key"]]
    s3.put_object(Bucket=BUCKET, Key=key, Body=tried.verdict("2").encode())
    with pytest.raises(PromotionRefusedError, match="exchanged"):
        tried.promote("2")


def test_only_one_alias(tried: Tried) -> None:
    assert tried.registry.alias_problem("production")
    assert tried.registry.holder(GROUP, "production") is None


def test_a_group_that_is_not_there(tried: Tried) -> None:
    with pytest.raises(CannotRunError):
        tried.registry.version("no-such-group", "1")


class Failing(Stub):
    """SageMaker's JSON protocol, with one version and nothing else."""

    def answer(self, asked: Asked) -> Reply:
        action = asked.headers.get("x-amz-target", "").rpartition(".")[2]
        arn = f"arn:aws:sagemaker:{REGION}:123456789012:model-package/{GROUP}/1"
        if action == "ListModelPackages":
            listed = [{"ModelPackageArn": arn, "ModelPackageVersion": 1}]
            return Reply(json={"ModelPackageSummaryList": [] if "ModelApprovalStatus" in asked.json else listed})
        if action == "DescribeModelPackage":
            return Reply(
                json={
                    "ModelPackageArn": arn,
                    "ModelPackageGroupName": GROUP,
                    "ModelPackageVersion": 1,
                    "ModelPackageStatus": "Completed",
                    "CreationTime": 1_790_000_000.123456,
                    "InferenceSpecification": {"Containers": [{"Image": "x", "ModelDataUrl": "s3://weights/1"}]},
                }
            )
        return Reply(status=200, json={}) if not asked.path.startswith("/weights") else Reply()

    def respond(self, asked: Asked) -> Reply:
        action = asked.headers.get("x-amz-target", "").rpartition(".")[2]
        named = Asked(**{**vars(asked), "path": f"{asked.path}#{action}"}) if action else asked
        return super().respond(named)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    with Failing() as stub:
        monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
        yield stub


def fault(code: str, status: int = 400, message: str = "no") -> Reply:
    return Reply(
        status=status,
        body=json.dumps({"__type": code, "message": message}).encode(),
        headers={"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code},
    )


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (fault("AccessDeniedException"), CannotRunError, "SageMaker forbids this"),
        (fault("UnrecognizedClientException"), CannotRunError, "does not know you"),
        (fault("ValidationException", message="Group does not exist."), AbsentError, "nothing under this name"),
        (fault("ValidationException", message="1 validation error"), CannotRunError, "answers with an error"),
        (fault("InternalFailure", status=500), CannotRunError, "does not answer"),
        (Reply(status=200, body=b"<html>"), CannotRunError, "something else than SageMaker answers"),
    ],
)
def test_failures_when_it_is_read(failing: Failing, reply: Reply, kind: type[Exception], words: str) -> None:
    failing.faults = [Fault(on="ListModelPackages", reply=reply)]
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/1")
    with pytest.raises(kind, match=words):
        registry.version(GROUP, "1")


def test_throttling_is_waited_for_and_then_told(failing: Failing) -> None:
    failing.faults = [Fault(on="ListModelPackages", reply=fault("ThrottlingException"), times=2)]
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/1")
    assert registry.version(GROUP, "1").version == "1"
    failing.faults = [Fault(on="ListModelPackages", reply=fault("ThrottlingException"))]
    with pytest.raises(CannotRunError, match="too many calls"):
        registry.version(GROUP, "1")
    assert len(failing.requests) == 3 + 1 + 4


def test_an_answer_that_never_comes(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sagemaker, "TIMEOUT_S", 0.5)
    failing.faults = [Fault(on="DescribeModelPackage", reply=Reply(), hangs=True)]
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/1")
    with pytest.raises(CannotRunError, match="does not answer"):
        registry.version(GROUP, "1")


def test_an_approval_that_is_forbidden(failing: Failing, keys: Keys) -> None:  # noqa: F811
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/1")
    version = registry.version(GROUP, "1")
    assert version.created_at.isoformat() == "2026-09-21T14:13:20.123000+00:00"
    failing.faults = [Fault(on="UpdateModelPackage", reply=fault("AccessDeniedException", message="explicit deny"))]
    with pytest.raises(PromotionRefusedError, match=r"SageMaker forbids this \(AccessDeniedException: explicit deny"):
        registry.set_holder(version, "champion", over=None, digest="0" * 64)


def test_verdicts_that_may_not_be_written(failing: Failing) -> None:
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/1")
    version = registry.version(GROUP, "1")
    denied = Reply(status=403, body=b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    failing.faults = [Fault(on="PUT /", reply=denied)]
    with pytest.raises(PromotionRefusedError, match="S3 forbids this"):
        registry.attach(version, "champion", "0" * 64, "{}")
    assert not any("UpdateModelPackage" in one for one in failing.requests)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, failing: Failing) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials
    registry, _ = open_elsewhere(f"sagemaker://{REGION}/{GROUP}/1")
    with pytest.raises(CannotRunError, match="does not know you"):
        registry.version(GROUP, "1")
