"""Runs of adapters: which is asked, who it is in the record, two of them by one start, and a server that mixes them up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.adapters import write_adapter
from support.project import write_suite
from support.servers import FAKE_VLLM, MARK, marked, model_folder, wait_until

from llmgate.errors import UsageError
from llmgate.record.manifest import adapted_digest
from llmgate.record.run.loading import load_record
from llmgate.record.weights import read_manifest, weights_digest
from llmgate.session.decide.records import noted_baseline
from llmgate.session.reach.owned import base_name, served_name
from llmgate.session.reach.sources import LocalModel
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from llmgate.session.settings.typed import Settings


def settings(tmp_path: Path, **given: Any) -> Settings:
    return settings_from(given, root=tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"adapter": "new"}, "'new' names no adapter"),
        ({"adapter": "=x"}, "names no adapter"),
        ({"adapter": "new="}, "names no adapter"),
        ({"adapter": "a b=/x"}, "'a' names no adapter"),
        ({"adapter": "'a b=/x'"}, "names no adapter"),
        ({"adapter": "--x=/x"}, "names no adapter"),
        ({"adapter": "a#1=/x"}, "names no adapter"),
        ({"adapter": "a=/x a=/y"}, "'a' is named twice"),
        ({"adapter": "a=/x", "endpoint": "http://127.0.0.1:9"}, "--endpoint names one that runs"),
        ({"adapter": "a=/x", "server_args": "--max-loras 1"}, "a slot to spare"),
        ({"server_args": "--enable-lora --lora-modules a=/x"}, "--lora-modules cannot be passed through"),
        ({"champion_adapter": "old"}, "the adapter 'old' is not named"),
        ({"adapter": "new=/x older=/y", "champion_adapter": "old"}, "Did you mean older"),
        ({"adapter": "new=/x old=/y", "champion_adapter": "old", "served_name": "old"}, "both under test"),
        (
            {"adapter": "new=/x old=/y", "champion_adapter": "old", "baseline": "runs/1"},
            "--champion-adapter and --baseline",
        ),
        ({"adapter": "new=/x old=/y", "champion_adapter": "old", "as_baseline": True}, "--as-baseline"),
    ],
)
def test_contradictions_are_refused_before_anything_starts(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        settings(tmp_path, **given)
    assert words in str(error.value)


def test_several_adapters_are_one_text_or_a_list_in_the_file(tmp_path: Path) -> None:
    assert settings(tmp_path, adapter="new=/x/y=z 'old=/a b'").adapter == {"new": "/x/y=z", "old": "/a b"}
    (tmp_path / "pyproject.toml").write_text('[tool.llmgate]\nadapter = ["new=/x", "old=/a b"]\n', encoding="utf-8")
    assert settings(tmp_path).adapter == {"new": "/x", "old": "/a b"}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "base"),
        ({"served_name": "other"}, "other"),
        ({"adapter": "new=/x"}, "new"),
        ({"adapter": "new=/x", "served_name": "base"}, "base"),
        ({"adapter": "new=/x old=/y", "served_name": "old"}, "old"),
        ({"adapter": "old=/y new=/x", "champion_adapter": "old"}, "new"),
    ],
)
def test_the_model_under_test_is_chosen_or_the_only_one(tmp_path: Path, given: dict[str, Any], name: str) -> None:
    local = LocalModel(folder=tmp_path, source="base", name="base")
    assert served_name(settings(tmp_path, **given), local) == name
    whole = "other" if given == {"served_name": "other"} else "base"
    assert base_name(settings(tmp_path, **given), local) == whole


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"adapter": "new=/x old=/y"}, "Choose it with --served-name, e.g. new"),
        ({"adapter": "new=/x newer=/z old=/y", "champion_adapter": "old"}, "the adapters new, newer are named"),
        ({"adapter": "old=/y", "champion_adapter": "old"}, "no adapter is tested"),
        ({"adapter": "new=/x", "served_name": "ne"}, "Did you mean new"),
    ],
)
def test_a_choice_that_is_open_is_refused(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        served_name(settings(tmp_path, **given), LocalModel(folder=tmp_path, source="base", name="base"))
    assert words in str(error.value)


# Runs, with a server that only behaves like vLLM.

pytestmark = pytest.mark.usefixtures("own_lock")


def run(tmp_path: Path, *args: str, mode: str = "ok") -> tuple[int, str]:
    env = {
        **os.environ,
        "FAKE_VLLM": mode,
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        MARK: str(tmp_path),
    }
    program = str(Path(sys.executable).with_name("llmgate"))
    done = subprocess.run(
        [program, "run", "words.yaml", "--model", str(model_folder(tmp_path)), "--out", "run", *args],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30), "nothing is left"
    return done.returncode, done.stdout + done.stderr


def test_an_adapter_is_asked_and_recorded_with_its_base(tmp_path: Path) -> None:
    write_suite(tmp_path)
    adapter = write_adapter(tmp_path / "tuned", named="org/other")
    code, output = run(tmp_path, "--adapter", f"tuned={adapter}")
    assert code == 0, output
    assert "warning: adapter tuned was trained on org/other" in output
    assert "each answers as itself" in output
    manifest = load_record(tmp_path / "run").manifest
    base, own = weights_digest(tmp_path / "model"), weights_digest(adapter)
    model = manifest.model
    assert (model.name, model.source) == ("tuned", str(adapter))
    assert (model.base, model.adapter, model.weights_digest) == (base, own, adapted_digest(base, own))
    assert manifest.server.model_names == ("tuned",)
    flags = " ".join(manifest.server.flags)
    assert f"--enable-lora --max-loras 2 --max-lora-rank 8 --lora-modules tuned=sha256:{own}" in flags
    assert str(adapter) not in flags
    assert read_manifest((tmp_path / "run" / "weights.json").read_bytes()).digest == base


def test_both_arms_are_recorded_by_one_start(tmp_path: Path) -> None:
    write_suite(tmp_path)
    new, old = write_adapter(tmp_path / "new", seed=1), write_adapter(tmp_path / "old", seed=2)
    args = ("--adapter", f"new={new} old={old}", "--champion-adapter", "old")
    code, output = run(tmp_path, *args)
    assert code in {0, 3}, output
    assert output.count("vLLM: ready") == 1
    baseline = noted_baseline(tmp_path / "run")
    assert baseline is not None
    candidate, champion = load_record(tmp_path / "run"), load_record(tmp_path / "run-champion")
    assert (tmp_path / baseline.folder).samefile(tmp_path / "run-champion")
    assert champion.path != candidate.path
    models = candidate.manifest.model, champion.manifest.model
    assert [each.name for each in models] == ["new", "old"]
    assert models[0].base == models[1].base == weights_digest(tmp_path / "model")
    assert [each.adapter for each in models] == [weights_digest(new), weights_digest(old)]
    assert candidate.manifest.server.flags == champion.manifest.server.flags
    assert candidate.results.keys() == champion.results.keys()
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text(encoding="utf-8"))
    (subject,) = verdict["subject"]
    assert subject["digest"]["sha256"] == models[0].weights_digest
    assert verdict["predicate"]["model"]["adapter"] == weights_digest(new)
    assert weights_digest(new) in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    # A second attempt at the same folder, as after an end on the way.
    (tmp_path / "run" / "seal.json").unlink()
    code, output = run(tmp_path, *args, "--resume")
    assert code in {0, 3}, output
    assert "the champion's record in run-champion is complete" in output
    assert load_record(tmp_path / "run-champion").manifest.run_id == champion.manifest.run_id
    (tmp_path / "run" / "seal.json").unlink()
    code, output = run(tmp_path, "--adapter", f"old={new} new={old}", "--champion-adapter", "old", "--resume")
    assert code == 4, output
    assert "whose weights are not those of old now" in output, output


def test_a_server_that_mixes_weights_up_is_not_asked(tmp_path: Path) -> None:
    write_suite(tmp_path)
    adapter = write_adapter(tmp_path / "tuned")
    code, output = run(tmp_path, "--adapter", f"tuned={adapter}", mode="mixing")
    assert code == 4, output
    assert "in a batch with requests to other models model answers" in output
    assert "questions as tuned does" in output
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_one_adapter_under_two_names_is_no_warning(tmp_path: Path) -> None:
    write_suite(tmp_path)
    adapter = write_adapter(tmp_path / "tuned")
    code, output = run(tmp_path, "--adapter", f"tuned={adapter} again={adapter}", "--served-name", "again")
    assert code == 0, output
    assert "warning" not in output, "the same weights under two names are no mystery"


def test_an_adapter_that_vllm_would_load_in_part_is_refused(tmp_path: Path) -> None:
    write_suite(tmp_path)
    adapter = write_adapter(tmp_path / "tuned", use_dora=True)
    code, output = run(tmp_path, "--adapter", f"tuned={adapter}")
    assert code == 4, output
    assert "it is a DoRA adapter" in output
    assert "importing vLLM" not in output
