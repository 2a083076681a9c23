"""The demo's registry: keys and policy that only the owner reads, and that a gated server accepts."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from llmgate.attest.keys import load_signer
from llmgate.attest.policy import KeyRole, load_policy
from llmgate.demo.registry import REGISTRY_ID, make_anew, make_files
from llmgate.errors import CannotRunError

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_policy_protects_the_demos_alias_and_knows_a_key_per_role(tmp_path: Path) -> None:
    files = make_files(tmp_path / "registry", model="smollm2-135m", suites=("sentiment", "short-facts"))
    policy = load_policy(files.policy)
    assert policy.registry == REGISTRY_ID
    rule = policy.rule_for("smollm2-135m")
    assert rule is not None
    assert rule.protects("champion")
    assert rule.suites == {"sentiment": "*", "short-facts": "*"}
    assert rule.weights
    assert policy.rule_for("another") is None
    trusted = {key.key.keyid: key.roles for key in policy.keys}
    for role in (KeyRole.GATE, KeyRole.BOOTSTRAP):
        signer = load_signer(files.key(role), {})
        assert signer is not None
        assert trusted[signer.keyid] == {role}


def test_only_the_owner_reads_it_and_keys_stay(tmp_path: Path) -> None:
    made = [make_files(tmp_path / "registry", model="m", suites=("s",)) for _ in range(2)]
    assert mode(made[0].folder) == 0o700
    private = [made[0].key(role) for role in ("gate", "bootstrap")]
    for path in (*private, made[0].policy):
        assert mode(path) == 0o600
    before = [path.read_bytes() for path in private]
    make_files(tmp_path / "registry", model="m", suites=("s",))
    assert [path.read_bytes() for path in private] == before


def test_half_a_pair_is_made_again(tmp_path: Path) -> None:
    files = make_files(tmp_path / "registry", model="m", suites=("s",))
    before = files.key("gate").read_bytes()
    files.key("gate").with_suffix(".pub").unlink()
    make_files(tmp_path / "registry", model="m", suites=("s",))
    assert files.key("gate").read_bytes() != before
    load_policy(files.policy)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "registry").write_text("mine", encoding="utf-8")
    with pytest.raises(CannotRunError, match="registry: it cannot be made"):
        make_files(tmp_path / "registry", model="m", suites=("s",))


def test_a_registry_of_the_demo_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    files = make_anew(tmp_path / "registry", model="m", suites=("s",))
    before = files.key("gate").read_bytes()
    files.database.write_text("of the demo before", encoding="utf-8")
    assert make_anew(tmp_path / "registry", model="m", suites=("s",)) == files
    assert not files.database.exists()
    assert files.key("gate").read_bytes() != before

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "ci.pem").write_text("a key", encoding="utf-8")
    link = tmp_path / "link"
    link.symlink_to(files.folder)
    for place in (mine, link):
        with pytest.raises(CannotRunError, match="was not made by the demo"):
            make_anew(place, model="m", suites=("s",))
    assert [path.name for path in mine.iterdir()] == ["ci.pem"]
    assert mode(mine) != 0o700
    assert files.key("gate").exists()
