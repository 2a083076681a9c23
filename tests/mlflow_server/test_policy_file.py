"""A running server follows its policy file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.verdicts import make_keys

from llmgate.attest.policy import POLICY_VARIABLE
from llmgate.errors import PolicyError
from llmgate.mlflow_server.policy_file import PolicyFile, policy_file

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_read_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys")
    file = policy_file({POLICY_VARIABLE: str(keys.path)})
    first = file.current()
    assert file.current() is first
    text = keys.path.read_text(encoding="utf-8")
    keys.path.write_text(text.replace("30d", "20d"), encoding="utf-8")
    assert file.current().rules[0].max_age.days == 20
    # Written in the same tick with the same size: the inode tells.
    stamp = keys.path.stat()
    other = keys.folder / "other.yaml"
    other.write_text(text.replace("30d", "10d"), encoding="utf-8")
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.replace(keys.path)
    assert file.current().rules[0].max_age.days == 10


def test_a_mounted_folder_that_is_exchanged_is_noticed(tmp_path: Path) -> None:
    """As Kubernetes exchanges a ConfigMap: by a link to another folder."""
    for name, age in (("one", "30d"), ("two", "9d")):
        keys = make_keys(tmp_path / name)
        text = keys.path.read_text(encoding="utf-8")
        keys.path.write_text(text.replace("30d", age), encoding="utf-8")
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "one")
    file = PolicyFile(link / "policy.yaml")
    assert file.current().rules[0].max_age.days == 30
    link.unlink()
    link.symlink_to(tmp_path / "two")
    assert file.current().rules[0].max_age.days == 9


def test_what_was_read_before_does_not_count_while_it_cannot_be_read(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys")
    file = PolicyFile(keys.path)
    text = keys.path.read_text(encoding="utf-8")
    file.current()
    keys.path.write_text(text.replace("gate.pub", "gone.pub"), encoding="utf-8")
    for _ in range(2):
        with pytest.raises(PolicyError, match=r"gone\.pub"):
            file.current()
    keys.path.unlink()
    with pytest.raises(PolicyError, match="cannot be read"):
        file.current()
    keys.path.write_text(text, encoding="utf-8")
    assert file.current().registry
