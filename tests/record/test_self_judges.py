"""Whether a model judged its own answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.records import make_manifest

from llmgate.record.manifest import JudgeIdentity, ModelIdentity


@pytest.mark.parametrize(
    ("own", "digest", "name", "source", "same"),
    [
        ("abc", "abc", "other", "", True),
        ("abc", "abd", "m", "/models/m", False),
        (None, "abc", "m", "/models/m", True),
        (None, None, "m", "/models/m/", True),
        (None, None, "m", "/models/n", False),
        (None, None, "n", "/models/m", False),
        (None, None, "m", "", False),
    ],
)
def test_a_model_that_judges_itself_is_noticed(
    own: str | None, digest: str | None, name: str, source: str, same: bool
) -> None:
    judge = JudgeIdentity(model=name, prompt_digest="p", sampling={}, weights_digest=digest, source=source)
    model = ModelIdentity(name="m", source="/models/m", weights_digest=own)
    manifest = replace(make_manifest(), model=model, judge=judge)
    assert manifest.self_judges == ((name,) if same else ())
    panel = replace(
        manifest, judge=None, judges={"strict": judge, "kind": replace(judge, weights_digest="x", model="z")}
    )
    assert panel.self_judges == (("strict",) if same else ())
