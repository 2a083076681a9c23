"""The policy that docs/registry.md shows is one that a server takes, with the defaults that it names."""

from __future__ import annotations

from pathlib import Path

import yaml
from support.page import BLOCK

from llmgate.attest.keys import generate
from llmgate.attest.policy import RulePart, load_policy

PAGE = (Path(__file__).parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")


def test_the_policy_is_one(tmp_path: Path) -> None:
    (block,) = BLOCK.finditer(PAGE)
    (tmp_path / "policy.yaml").write_text(block["content"], encoding="utf-8")
    for name in ("ci-2026.pub", "owner.pub"):
        (tmp_path / name).write_text(generate()[1], encoding="utf-8")
    policy = load_policy(tmp_path / "policy.yaml")
    rule = policy.rule_for("Support_Bot")
    assert rule is not None
    assert rule.look_alike("champi0n") == rule.look_alike("сhampion") == "champion"
    told = {line.partition(":")[0].strip(" -"): line for line in block["content"].splitlines() if "the default" in line}
    assert told.keys() == {"aliases", "max_age", "binding", "weaker_policy", "rollback"}
    (shown,) = yaml.safe_load(block["content"])["protect"]
    bare = RulePart.model_validate({"models": ["*"], "suites": {"a": "*"}})
    for name in told:
        assert getattr(RulePart.model_validate(shown), name) == getattr(bare, name)


def test_every_key_of_a_rule_is_shown() -> None:
    (block,) = BLOCK.finditer(PAGE)
    for name in RulePart.model_fields:
        assert f"{name}:" in block["content"]
