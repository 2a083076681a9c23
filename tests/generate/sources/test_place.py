"""What a user writes, what it means, and what is said to whoever writes something else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import LlmgateError, UsageError
from llmgate.generate.sources.place import (
    Folder,
    HubModel,
    ObjectFolder,
    Place,
    RegisteredModel,
    RunModel,
    is_hub_name,
    is_plain,
    read_place,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [
        ("models/bot", Folder(text="models/bot", path="models/bot"), "bot"),
        ("/srv/bot/", Folder(text="/srv/bot/", path="/srv/bot/"), "bot"),
        ("C:odd", Folder(text="C:odd", path="C:odd"), "C:odd"),
        ("file:///srv/a%20b", Folder(text="file:///srv/a%20b", path="/srv/a b"), "a b"),
        ("hf://acme/bot", HubModel(text="hf://acme/bot", repo="acme/bot"), "bot"),
        ("hf://acme/bot@main", HubModel(text="hf://acme/bot@main", repo="acme/bot", revision="main"), "bot"),
        ("hf://a/b@refs/pr/1", HubModel(text="hf://a/b@refs/pr/1", repo="a/b", revision="refs/pr/1"), "b"),
        ("models:/bot/7", RegisteredModel(text="models:/bot/7", name="bot", version="7"), "bot"),
        (
            "models:/a.b.c@champion",
            RegisteredModel(text="models:/a.b.c@champion", name="a.b.c", alias="champion"),
            "a.b.c",
        ),
        ("runs:/0a1b/model", RunModel(text="runs:/0a1b/model", run="0a1b", path="model"), "model"),
        ("runs:/0a1b/out/bot/", RunModel(text="runs:/0a1b/out/bot/", run="0a1b", path="out/bot"), "bot"),
        ("s3://b-1/m/bot/", ObjectFolder(text="s3://b-1/m/bot/", scheme="s3", bucket="b-1", prefix="m/bot"), "bot"),
        ("gs://bucket", ObjectFolder(text="gs://bucket", scheme="gs", bucket="bucket"), "bucket"),
    ],
)
def test_what_is_meant(text: str, place: Place, name: str) -> None:
    assert read_place(text) == place
    assert read_place(text).name == name


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("", "names no model", "hf://OWNER/NAME@REVISION"),
        ("a\nb", "names no model", "Give a folder"),
        ("http://host/v1", "a URL is an endpoint", "--endpoint"),
        ("azure://x/y", "not taken from azure:", "Valid names: file, gs, hf, models, runs, s3"),
        ("model:/bot/7", "not taken from model:", "Did you mean models?"),
        ("hf://bot", "names no model on the hub", "hf://OWNER/NAME@REVISION"),
        ("hf:/acme/bot", "names no model on the hub", "hf://OWNER/NAME@REVISION"),
        ("hf://acme/../bot@main", "names no model on the hub", "hf://OWNER/NAME"),
        ("hf://datasets/acme/bot@main", "one of the hub's datasets", "hf://OWNER/NAME"),
        ("hf://acme/bot@", "names no revision", "a commit of 40 hexadecimal digits"),
        ("hf://acme/bot@../../x", "names no revision", "a commit"),
        ("hf://acme/bot@a/../../b", "names no revision", "a commit"),
        ("hf://acme/bot@-x", "names no revision", "a commit"),
        ("models:/bot", "names no single version", "models:/NAME/VERSION"),
        ("models:/bot/latest", "'latest' means another version tomorrow", "an alias"),
        ("models:/bot/Production", "'Production' means another version tomorrow", "an alias"),
        ("models:/bot/07", "names no single version", "models:/NAME/VERSION"),
        ("models:/bot@champion/7", "names no single version", "models:/NAME/VERSION"),
        ("models://bot/7", "names no registered model", "models:/NAME/VERSION"),
        ("runs:/abc", "names no model of a run", "runs:/RUN_ID/PATH"),
        ("runs:/abc/../x", "names no model of a run", "runs:/RUN_ID/PATH"),
        ("runs:/../x/y", "names no model of a run", "runs:/RUN_ID/PATH"),
        ("s3://", "names no folder of a bucket", "s3://BUCKET/FOLDER"),
        ("s3:/bucket/x", "names no folder of a bucket", "s3://BUCKET/FOLDER"),
        ("s3://bucket/a/../b", "names no folder of a bucket", "s3://BUCKET/FOLDER"),
        ("gs://bucket/a*", "names no single folder", "gs://BUCKET/FOLDER"),
        ("file://host/x", "no model of file:", "file:///FOLDER"),
        ("file://[", "no URL", "file:///FOLDER"),
    ],
)
def test_what_is_refused_and_taught(text: str, what: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_place(text, where="--model")
    assert what in caught.value.what
    assert fix in str(caught.value.fix)
    assert caught.value.where == "--model"


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA0000:hunter22secret@bucket/bot",
        "gs://hunter22secret@bucket/bot",
        "hf://user:hunter22secret@acme/bot",
        "s3://bucket/bot?X-Amz-Signature=hunter22secret",
        "models://token:hunter22secret@databricks/bot/7",
        "https://user:hunter22secret@host/v1",
        "ftp://user:hunter22secret@host/bot",
    ],
)
def test_secrets_in_a_place_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_place(text, where="--model")
    assert "hunter22secret" not in str(caught.value)


def test_a_commit_is_told_from_what_can_move() -> None:
    pinned, moving = read_place(f"hf://acme/bot@{COMMIT}"), read_place("hf://acme/bot@v1.0")
    assert isinstance(pinned, HubModel)
    assert isinstance(moving, HubModel)
    assert (pinned.commit, moving.commit) == (COMMIT, None)
    short = read_place(f"hf://acme/bot@{COMMIT[:12]}")
    assert isinstance(short, HubModel)
    assert short.commit is None


@pytest.mark.parametrize("path", ["a", "a/b.json", ".hidden", "ü"])
def test_paths_that_stay_in_a_folder(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize("path", ["", "/a", "a//b", "../a", "a/..", "a/../b", ".", "a\\b", "a\0b", "a\nb", "a/"])
def test_paths_that_do_not(path: str) -> None:
    assert not is_plain(path)


def test_names_of_the_hub() -> None:
    assert is_hub_name("acme/bot-7B.v1")
    assert not any(map(is_hub_name, ["bot", "a/b/c", "../bot", "a/..", "a--b/c", "a b/c", "/a/b", "~/bot"]))


@given(st.text(max_size=60) | st.from_regex(r"(hf|models|runs|s3|gs|file)://?[ -~]{0,40}", fullmatch=True))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    place: Place | None = None
    with contextlib.suppress(LlmgateError):
        place = read_place(text)
    if place is not None:
        assert place.text == text
        assert ".." not in place.name.split("/")
