"""What a stage means, and which transitions change it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmgate.mlflow_server.stages import Transition, means

STAGES = ("Production", "Staging", "Archived")
BEFORE = st.dictionaries(st.integers(1, 6), st.sampled_from(STAGES), max_size=6)


def move(before: dict[int, str], version: int, stage: str, *, archive: bool) -> Transition:
    return Transition(
        version=version, stage=stage, archive=archive, before=before, protects=lambda its: its == "Production"
    )


@given(before=BEFORE, version=st.integers(1, 6), stage=st.sampled_from([*STAGES, "None"]), archive=st.booleans())
def test_the_protected_stage_only_changes_its_meaning_by_a_verdict(
    before: dict[int, str], version: int, stage: str, archive: bool
) -> None:
    transition = move(before, version, stage, archive=archive)
    if transition.objection() is not None:
        return
    was, then = means(before, "Production"), means(transition.after, "Production")
    if transition.needs_verdict():
        assert stage == "Production"
        assert then == version
    else:
        assert was == then
        came = {v for v, its in transition.after.items() if its == "Production"} - {
            v for v, its in before.items() if its == "Production"
        }
        assert came == set()


def test_the_highest_version_is_what_a_stage_means() -> None:
    assert means({1: "Production", 3: "Production", 7: "Staging"}, "Production") == 3
    assert means({}, "Production") is None


def test_what_is_refused_whatever_verdict_there_is() -> None:
    before = {3: "Production"}
    assert move(before, 3, "Archived", archive=False).objection() is not None
    assert move(before, 2, "Production", archive=False).objection() is not None
    assert move(before, 2, "Production", archive=True).objection() is None
    assert move(before, 4, "Production", archive=False).objection() is None
    assert move({2: "Production", 3: "Production"}, 2, "Archived", archive=False).objection() is None
    assert move({2: "Production", 3: "Production"}, 2, "Production", archive=True).needs_verdict()
