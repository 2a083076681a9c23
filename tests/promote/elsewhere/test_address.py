"""How versions in other registries are named, and what names none."""

from __future__ import annotations

import pytest

from llmgate.errors import CannotRunError, UsageError
from llmgate.promote.elsewhere.address import FORMS, is_elsewhere, parse_address
from llmgate.promote.elsewhere.opened import open_elsewhere


@pytest.mark.parametrize(
    ("uri", "place", "model", "version"),
    [
        ("sagemaker://eu-west-1/support-bot/7", {"region": "eu-west-1"}, "support-bot", "7"),
        ("databricks-uc://ml.prod.support_bot/3", {}, "ml.prod.support_bot", "3"),
        ("databricks-uc://ml.prod.süß-bot/3", {}, "ml.prod.süß-bot", "3"),
        (
            "vertex://acme-ml/europe-west4/1234567/3",
            {"project": "acme-ml", "location": "europe-west4"},
            "1234567",
            "3",
        ),
        ("vertex://example.com:acme/europe-west4/bot_v-2/3", None, "bot_v-2", "3"),
        ("wandb://acme-org/model/support bot/v0", {"entity": "acme-org", "registry": "model"}, None, None),
        ("wandb://acme-org/model/support-bot/v12", {"entity": "acme-org", "registry": "model"}, "support-bot", "v12"),
        ("hf://acme/support-bot@main", {}, "acme/support-bot", "main"),
        ("hf://acme/support.bot_2@refs/pr/1", {}, "acme/support.bot_2", "refs/pr/1"),
    ],
)
def test_an_address(uri: str, place: dict[str, str] | None, model: str | None, version: str | None) -> None:
    assert is_elsewhere(uri)
    if model is None:
        with pytest.raises(UsageError):
            parse_address(uri)
        return
    address = parse_address(uri)
    assert (address.model, address.version) == (model, version)
    if place is not None:
        assert address.place == place


@pytest.mark.parametrize(
    "uri",
    [
        "sagemaker://eu-west-1/support-bot",
        "sagemaker://eu-west-1/support-bot/0",
        "sagemaker://eu-west-1/support-bot/latest",
        "sagemaker://eu-west-1/support--/7",
        "sagemaker://eu-west-1/a/b/7",
        "sagemaker://EU/support-bot/7",
        "databricks-uc://prod.support_bot/3",
        "databricks-uc://ml.prod.support_bot@champion",
        "databricks-uc://ml.prod.`x`/3",
        "databricks-uc://ml.prod.x/3?token=1",
        "vertex://acme-ml/europe-west4/1234567/champion",
        "vertex://acme-ml/europe-west4/../3",
        "vertex://acme-ml/evil.example/x/1234567/3",
        "wandb://acme/model/support-bot/latest",
        "wandb://acme/model/support-bot:v3",
        "wandb://acme/model/support-bot/v3/v4",
        "hf://support-bot@main",
        "hf://acme/support-bot",
        "hf://acme/../../x@main",
        "hf://acme/support-bot@-main",
        "hf://acme/support-bot@main\n",
    ],
)
def test_what_names_no_single_version(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(uri)
    assert FORMS[uri.partition("://")[0]] in str(caught.value)


def test_a_scheme_that_is_misspelt() -> None:
    assert not is_elsewhere("http://example.org/")
    assert not is_elsewhere("models:/support-bot/7")
    assert not is_elsewhere("hf:acme/x")
    with pytest.raises(UsageError, match="Did you mean sagemaker"):
        parse_address("sagemakr://eu-west-1/support-bot/7")


@pytest.mark.parametrize(
    ("uri", "extra", "library"),
    [
        ("sagemaker://eu-west-1/support-bot/7", "sagemaker", "boto3"),
        ("vertex://acme-ml/europe-west4/1234567/3", "vertex", "google"),
        ("wandb://acme-org/model/support-bot/v3", "wandb", "wandb"),
        ("hf://acme/support-bot@main", "hf", "huggingface_hub"),
        ("databricks-uc://ml.prod.support_bot/3", "mlflow", "mlflow"),
    ],
)
def test_a_client_library_that_is_missing(uri: str, extra: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CannotRunError) as caught:
        open_elsewhere(uri)
    assert f"pip install 'pytest-llmgate[{extra}]'" in str(caught.value)


def test_a_place_for_verdicts_where_none_is_needed() -> None:
    with pytest.raises(UsageError, match="keeps verdicts with the version"):
        open_elsewhere("hf://acme/support-bot@main", verdicts_at="s3://bucket")
