"""Amazon SageMaker's model registry: the champion is the one version of a model package group that is Approved.

Properties of a version hold 256 characters each, so the signed verdict lies in S3 and its digest in a property.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any

from llmgate.attest.tags import attestation_key
from llmgate.errors import CannotRunError, PromotionRefusedError, UsageError
from llmgate.promote.alias import CHAMPION
from llmgate.promote.elsewhere.contract import RegisteredVersion
from llmgate.promote.elsewhere.failures import (
    TIMEOUT_S,
    AbsentError,
    FailedCall,
    Meaning,
    calls,
    meaning_of,
    not_installed,
)
from llmgate.promote.elsewhere.shelf import MAX_BYTES, bounded, digests_in, file_name, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SageMakerRegistry"]

SERVICE = "SageMaker"
EARNED, OVER = "llmgate.earned", "llmgate.over"
APPROVED, PENDING = "Approved", "PendingManualApproval"
READY = "Completed"
FOLDER = "llmgate-verdicts"
S3 = re.compile(r"s3://(?P<bucket>[^/]+)/?(?P<prefix>.*)")
ARN = re.compile(r"arn:[^:]+:sagemaker:(?P<region>[^:]*):(?P<account>\d*):model-package/.+")
SAYS_ABSENT = re.compile(r"not found|does not exist|could not find|cannot find", re.IGNORECASE)
ABSENT_CODES = {"NoSuchKey", "NoSuchBucket", "404", "ResourceNotFound", "ResourceNotFoundException"}
THROTTLED_CODES = {"ThrottlingException", "Throttling", "RequestLimitExceeded", "SlowDown", "TooManyRequestsException"}
FORBIDDEN_CODES = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
UNKNOWN_CODES = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


class SageMakerRegistry:
    """A `VerdictRegistry` over the model package groups of one region.

    Args:
        region: The region.
        verdicts: Where verdicts lie, `s3://BUCKET/PREFIX`; by default in the bucket of the version's own weights.

    Raises:
        CannotRunError: If boto3 is not installed, or knows no credentials or region of that name.
        UsageError: If `verdicts` is no place in S3.
    """

    def __init__(self, region: str, *, verdicts: str | None = None) -> None:
        try:
            import boto3  # noqa: PLC0415 - an optional extra
            from botocore.config import Config  # noqa: PLC0415
        except ImportError as error:
            raise not_installed("boto3", "sagemaker") from error
        if verdicts is not None and S3.fullmatch(verdicts) is None:
            raise UsageError("this is no place in S3", where=verdicts, fix="Write s3://BUCKET/PREFIX")
        self.region = region
        self.verdicts = verdicts
        config = Config(
            connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"mode": "standard", "total_max_attempts": 4}
        )
        with calls(SERVICE, region, read_error):
            self.client = boto3.client("sagemaker", region_name=region, config=config)
            self.s3 = boto3.client("s3", region_name=region, config=config)

    def alias_problem(self, alias: str) -> str | None:
        """Only one alias: a version has one approval status."""
        if alias == CHAMPION:
            return None
        return f"a SageMaker version is Approved or not, so the only alias there is {CHAMPION!r}"

    def version(self, model: str, version: str) -> RegisteredVersion:
        """The facts of one version, read now."""
        where = self.uri(model, version)
        for package in self.packages(model):
            if str(package.get("ModelPackageVersion")) == version:
                return self.described(model, str(package["ModelPackageArn"]))
        raise AbsentError(
            f"the group has no version {version}", where=where, fix="Look at the versions of the group in SageMaker"
        )

    def holder(self, model: str, alias: str) -> RegisteredVersion | None:
        """The version that is Approved. One that another, by what it says, has replaced does not count."""
        approved = [] if self.alias_problem(alias) else self.approved(model)
        replaced = {properties.get(OVER) for version, properties in approved if version.earned}
        left = [version for version, _ in approved if version.version not in replaced]
        if not approved:
            return None
        if len(left) != 1:
            numbers = ", ".join(sorted((version.version for version, _ in approved), key=int))
            raise PromotionRefusedError(
                f"the versions {numbers} are all Approved, so nobody can tell which one is the champion",
                where=self.uri(model, "*"),
                fix="Leave one of them Approved and set the others to PendingManualApproval or Rejected",
            )
        return left[0]

    def attach(self, version: RegisteredVersion, alias: str, digest: str, envelope: str) -> None:
        """Put the verdict into S3, then its digest on the version.

        The approval status is not sent along: somebody may be changing it at this moment.
        """
        bucket, folder = self.folder(version, alias)
        where = f"s3://{bucket}/{folder}{file_name(digest)}"
        with calls("S3", where, read_error, writing=True):
            self.s3.put_object(
                Bucket=bucket,
                Key=f"{folder}{file_name(digest)}",
                Body=envelope.encode(),
                ContentType="application/vnd.dsse.envelope.v1+json",
            )
        if version.attached.get(alias) == digest:
            return
        with calls(SERVICE, version.uri, read_error, writing=True):
            told = self.client.describe_model_package(ModelPackageName=version.handle)
            properties = told.get("CustomerMetadataProperties") or {}
            self.client.update_model_package(
                ModelPackageArn=version.handle,
                CustomerMetadataProperties={**properties, attestation_key(alias): digest},
            )

    def envelopes(self, version: RegisteredVersion, alias: str) -> Mapping[str, str]:
        """Every verdict that lies in S3 for this version."""
        bucket, folder = self.folder(version, alias)
        where = f"s3://{bucket}/{folder}"
        found: dict[str, str] = {}
        with calls("S3", where, read_error):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
            for digest in bounded(digests_in(keys), where):
                got = self.s3.get_object(Bucket=bucket, Key=f"{folder}{file_name(digest)}")
                found[digest] = read_text(got["Body"].read(MAX_BYTES + 1), f"{where}{file_name(digest)}")
        return found

    def set_holder(
        self, version: RegisteredVersion, alias: str, *, over: RegisteredVersion | None, digest: str
    ) -> None:
        """Approve the version, then take the approval from whoever had it.

        In this order, so that there is no moment without an approved version. If the second call fails there are two;
        the new one names the old one, so that `holder` still knows, and promoting it again does what is missing.
        """
        with calls(SERVICE, version.uri, read_error, writing=True):
            told = self.client.describe_model_package(ModelPackageName=version.handle)
            before = told.get("CustomerMetadataProperties") or {}
            self.client.update_model_package(
                ModelPackageArn=version.handle,
                ModelApprovalStatus=APPROVED,
                ApprovalDescription=f"llmgate: verdict {digest}",
                CustomerMetadataProperties={
                    **before,
                    attestation_key(alias): digest,
                    f"{EARNED}/{alias}": digest,
                    OVER: over.version if over is not None else "none",
                },
            )
        self.finish(version, alias)

    def finish(self, version: RegisteredVersion, alias: str) -> None:
        """Take the approval from every other version."""
        for other, properties in self.approved(version.model):
            if other.version == version.version or alias not in other.holds:
                continue
            with calls(SERVICE, other.uri, read_error, writing=True):
                self.client.update_model_package(
                    ModelPackageArn=other.handle,
                    ModelApprovalStatus=PENDING,
                    ApprovalDescription=f"llmgate: replaced by version {version.version}",
                    CustomerMetadataProperties={**properties, f"{OVER}.by": version.version},
                )

    def packages(self, model: str, **filters: str) -> Iterator[dict[str, Any]]:
        """The versions of a group, page by page."""
        with calls(SERVICE, self.uri(model, "*"), read_error):
            pages = self.client.get_paginator("list_model_packages").paginate(ModelPackageGroupName=model, **filters)
            for page in pages:
                # What is no answer of SageMaker's at all, boto3 reads as an empty one.
                if "ModelPackageSummaryList" not in page:
                    raise CannotRunError("something else than SageMaker answers", where=self.uri(model, "*"))
                yield from page["ModelPackageSummaryList"]

    def approved(self, model: str) -> list[tuple[RegisteredVersion, dict[str, str]]]:
        """The versions that are Approved, and the properties of each."""
        found = []
        for package in list(self.packages(model, ModelApprovalStatus=APPROVED)):
            told = self.describe(model, str(package["ModelPackageArn"]))
            if told.get("ModelApprovalStatus") == APPROVED:
                found.append((self.facts(model, told), dict(told.get("CustomerMetadataProperties") or {})))
        return found

    def described(self, model: str, arn: str) -> RegisteredVersion:
        """The facts of the version with this ARN."""
        return self.facts(model, self.describe(model, arn))

    def describe(self, model: str, arn: str) -> dict[str, Any]:
        """What SageMaker says about it."""
        with calls(SERVICE, self.uri(model, arn.rpartition("/")[2]), read_error):
            return dict(self.client.describe_model_package(ModelPackageName=arn))

    def facts(self, model: str, told: Mapping[str, Any]) -> RegisteredVersion:
        """What SageMaker says, as ours."""
        properties = told.get("CustomerMetadataProperties") or {}
        arn = str(told["ModelPackageArn"])
        match = ARN.fullmatch(arn)
        number = str(told.get("ModelPackageVersion"))
        if match is None or told.get("ModelPackageGroupName", model) != model:
            raise CannotRunError(f"SageMaker calls this version {arn}", where=self.uri(model, number))
        approved = told.get("ModelApprovalStatus") == APPROVED
        return RegisteredVersion(
            uri=self.uri(model, number),
            workspace=f"{match['account']}/{match['region']}",
            model=model,
            version=number,
            source=source(told),
            created_at=whole_ms(told["CreationTime"]),
            ready=told.get("ModelPackageStatus") == READY,
            holds=frozenset({CHAMPION} if approved else ()),
            attached=pointer(properties, attestation_key(CHAMPION)),
            earned=pointer(properties, f"{EARNED}/{CHAMPION}"),
            handle=arn,
        )

    def folder(self, version: RegisteredVersion, alias: str) -> tuple[str, str]:
        """Bucket and prefix of a version's verdicts. A version that was made again begins with none."""
        place = S3.fullmatch(self.verdicts or "") or S3.fullmatch(version.source)
        if place is None:
            raise UsageError(
                f"the weights lie at {version.source!r} and not in S3, so there is no place for its verdicts",
                where=version.uri,
                fix="Name one with --verdicts-at s3://BUCKET/PREFIX",
            )
        prefix = place["prefix"].strip("/") if self.verdicts else FOLDER
        made = int(version.created_at.timestamp() * 1000)
        parts = (prefix, version.workspace, version.model, f"{version.version}-{made}", alias, "")
        return place["bucket"], "/".join(part for part in parts[:-1] if part) + "/"

    def uri(self, model: str, version: str) -> str:
        """How a person names it."""
        return f"sagemaker://{self.region}/{model}/{version}"


def source(told: Mapping[str, Any]) -> str:
    """Where the weights lie: every container's, so that none can be exchanged."""
    containers = (told.get("InferenceSpecification") or {}).get("Containers") or ()
    found = []
    for container in containers:
        whole = ((container.get("ModelDataSource") or {}).get("S3DataSource") or {}).get("S3Uri")
        found.append(container.get("ModelDataUrl") or whole)
    return " ".join(uri for uri in (*found, told.get("SourceUri")) if uri)


def pointer(properties: Mapping[str, str], key: str) -> dict[str, str]:
    """The digest under a key, by alias."""
    digest = properties.get(key)
    return {} if digest is None else {CHAMPION: digest}


def whole_ms(moment: Any) -> Any:
    """The moment in UTC, cut to milliseconds."""
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def read_error(error: Exception) -> FailedCall | None:
    """What an error of boto3 means."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError  # noqa: PLC0415

    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        code, said = str(told.get("Code", "")), str(told.get("Message") or error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return FailedCall(meaning=client_meaning(code, said, status), said=f"{code}: {said}" if code else said)
    if isinstance(error, NoCredentialsError | NoRegionError):
        return FailedCall(meaning=Meaning.UNKNOWN_CALLER, said=str(error))
    if isinstance(error, BotoCoreError):
        return FailedCall(meaning=Meaning.UNREACHABLE, said=str(error))
    return None


def client_meaning(code: str, said: str, status: int | None) -> Meaning:
    """SageMaker answers 400 for nearly everything, so its code and words are looked at first."""
    for codes, meaning in (
        (ABSENT_CODES, Meaning.ABSENT),
        (THROTTLED_CODES, Meaning.THROTTLED),
        (FORBIDDEN_CODES, Meaning.FORBIDDEN),
        (UNKNOWN_CODES, Meaning.UNKNOWN_CALLER),
        ({"ConflictException"}, Meaning.CONFLICT),
    ):
        if code in codes:
            return meaning
    if code in {"ValidationException", "ValidationError"} and SAYS_ABSENT.search(said):
        return Meaning.ABSENT
    return meaning_of(status)
