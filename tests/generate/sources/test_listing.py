"""Listings are hostile input."""

from __future__ import annotations

import re

import pytest

from llmgate.errors import CannotRunError
from llmgate.generate.sources.listing import RemoteFile, checked, content_key, list_digest


def files(*names: str) -> list[RemoteFile]:
    return [RemoteFile(path=name, size=1) for name in names]


def test_a_listing_is_sorted() -> None:
    assert [file.path for file in checked(files("b", "a/c"), "s3://x")] == ["a/c", "b"]


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/etc/cron.d/x", "a//b", ".", "..", "a\\..\\b", "a\0", "a\nb", "\x1b[2J", "x" * 300, "\ud800", ""],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(CannotRunError, match="which would be written outside the model's folder") as caught:
        checked(files("config.json", name), "s3://bucket/bot")
    assert caught.value.where == "s3://bucket/bot"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a/b/c/d", "z")])
def test_a_file_is_not_written_over_another(names: tuple[str, ...]) -> None:
    with pytest.raises(CannotRunError, match="is listed twice, or as a file and as a folder"):
        checked(files(*names), "gs://x")


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(CannotRunError, match="there are no files"):
        checked([], "s3://x")
    with pytest.raises(CannotRunError, match=re.escape("more than 10,000 files")):
        checked(files(*map(str, range(10_001))), "s3://x")
    with pytest.raises(CannotRunError, match="is listed as -1"):
        checked([RemoteFile(path="a", size=-1)], "s3://x")


def test_what_changes_makes_another_key() -> None:
    plain = [RemoteFile(path="a", size=1, tag="e"), RemoteFile(path="b", size=2, tag="f")]
    assert list_digest(plain) == list_digest(plain[::-1])
    others = (
        [RemoteFile(path="a", size=1, tag="e2"), plain[1]],
        [RemoteFile(path="a", size=2, tag="e"), plain[1]],
        [RemoteFile(path="c", size=1, tag="e"), plain[1]],
        plain[:1],
    )
    keys = {content_key("s3\nx", each) for each in (plain, *others)} | {content_key("s3\ny", plain)}
    assert len(keys) == 6
