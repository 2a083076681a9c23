"""The demo's order of things and its suites, with servers that only say that they are models."""

from __future__ import annotations

import json
import math
import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import Mock

import pytest
from mlflow.tracking._model_registry.utils import _get_store_registry
from support.fake_server import FakeServer
from support.servers import model_folder

from llmgate.attest.policy import POLICY_VARIABLE
from llmgate.demo import run as demo
from llmgate.demo.progress import DemoProgress
from llmgate.demo.registry import RegistryFiles, make_files
from llmgate.demo.run import EXPECTED, REMOVED, SUITES, Contender, Entry, Runner, show
from llmgate.errors import CannotRunError, UsageError
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.power.plan import designs_of, plan_power
from llmgate.generate.client import Endpoint
from llmgate.generate.identity import model_identity
from llmgate.mlflow_server.entry import build_plain
from llmgate.promote.mlflow_client import open_client
from llmgate.record.manifest import ServerIdentity
from llmgate.record.run.loading import load_record
from llmgate.session.decide.records import decide_run, noted_baseline
from llmgate.session.run import execute
from llmgate.session.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings

REPOSITORY = Path(__file__).parents[2]
MEASURED = {
    ("json-extraction", "valid-json"): (1, 168),
    ("json-extraction", "exact"): (0, 168),
    ("sentiment", "accuracy"): (12, 200),
    ("short-facts", "accuracy"): (4, 278),
}
"""Answers to the suites in the repository that changed between champion and re-saved candidate, on two cores."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was started, in order; the pruned model answers nothing rightly."""
    names: list[str] = []

    @contextmanager
    def serve(model: str, name: str, role: str) -> Iterator[Target]:
        names.append(f"{role} {Path(model).name}")

        def answer(body: dict[str, Any]) -> str:
            if "response_format" in body:
                return json.dumps({"reason": "so", "pass": True, "score": 1})
            return "nothing" if "pruned" in name else right[str(body["messages"][-1]["content"])]

        with FakeServer(model=name, answer=answer) as server:
            url = f"{server.url}/v1"
            yield Target(
                endpoint=Endpoint(url=url, model=name),
                model=model_identity(model, name=name),
                server=ServerIdentity(engine="vllm", version="0", owned=True, url=url, model_names=(name,)),
                death=lambda: None,
            )

    @contextmanager
    def open_target(settings: Settings, *, log_path: Path, progress: object) -> Iterator[Target]:
        with serve(settings.model or "", settings.served_name or "", "model") as target:
            yield target

    @contextmanager
    def open_judge(settings: Settings, place: Any, identity: Any, **_: object) -> Iterator[Target]:
        with serve(place.folder, identity.model, "judge") as target:
            yield target

    monkeypatch.setattr(execute, "open_target", open_target)
    monkeypatch.setattr(execute, "open_judge", open_judge)
    right = expected(contender(runner(tmp_path), folder(tmp_path, "x")).plan)
    return names


def folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir(exist_ok=True)
    made = model_folder(parent / name)
    (made / "generation_config.json").write_text(json.dumps(name), encoding="utf-8")
    target = parent / "models" / name
    target.parent.mkdir(exist_ok=True)
    return target if target.exists() else made.rename(target)


def runner(parent: Path) -> Runner:
    progress = DemoProgress(EXPECTED)
    make_files(parent / "registry", model="smollm2-135m", suites=("sentiment",))
    return Runner(
        folder=parent, judge=folder(parent, "champion"), progress=progress, mlflow_uri=f"sqlite:///{parent}/mlflow.db"
    )


def expected(plan: Plan) -> dict[str, str]:
    """Question to right answer."""
    answers = {}
    for case in plan.cases:
        row: dict[str, Any] = dict(case.variables)
        if case.planned.suite == "json-extraction":
            said = json.dumps({key: row[key] for key in ("name", "city", "amount")})
        else:
            said = str(row.get("label") or [*row.get("answers", ()), *row.get("key_facts", ())][0])
        answers[case.planned.messages[-1].content] = said
    return answers


def contender(taker: Runner, model: Path, *, worse: bool = False, baseline: Path | None = None) -> Contender:
    """One of the demo's, but for MLflow, which has tests of its own and takes its time."""
    title = {"champion": "champion", "pruned": REMOVED}.get(model.name, "re-saved")
    verdict = Verdict.FAIL if worse else Verdict.PASS
    made = taker.contender(title, model, expected=verdict, baseline=None)
    settings = replace(
        made.settings,
        mlflow_uri=None,
        mlflow_model=None,
        registry_id=None,
        signing_key=None,
        baseline=str(baseline) if baseline else None,
    )
    return replace(made, settings=settings)


def three(parent: Path) -> tuple[Runner, Contender, list[Contender]]:
    taker = runner(parent)
    champion = contender(taker, taker.judge)
    return taker, champion, [
        contender(taker, folder(parent, "resaved"), baseline=champion.out),
        contender(taker, folder(parent, "pruned"), worse=True, baseline=champion.out),
    ]  # fmt: skip


def decided(contender: Contender) -> Decision:
    return decide_run(contender.out, noted_baseline(contender.out), contender.settings)


def test_one_judge_is_started_for_both_candidates_and_none_for_what_is_there(
    started: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taker, champion, candidates = three(tmp_path)
    taker.measure(champion)
    taker.measure(*candidates)
    assert started == ["model champion", "model resaved", "model pruned", "judge champion"]
    for contender in (champion, *candidates):
        record = load_record(contender.out)
        judged = [
            check for result in record.results.values() for check in result.checks if check.metric == "helpfulness"
        ]
        assert [check.outcome for check in judged] == ["pass"] * 20
        assert len(record.trials) == 5
        assert decided(contender).verdict is contender.expected
    monkeypatch.setenv("COLUMNS", "80")
    entries = [
        Entry(contender=contender, decision=decided(contender), version=f"models:/smollm2-135m/{number}")
        for number, contender in enumerate([champion, *candidates], start=1)
    ]
    show(entries)
    table = capsys.readouterr().out
    assert "json-extraction::valid-json" in table
    assert f"{REMOVED} ┃" in table
    assert "│ v3 " in table
    started.clear()
    taker.measure(champion)
    taker.measure(*candidates)
    assert started == []
    assert demo.reusable(champion)
    monkeypatch.setattr(demo, "COUNTS", timedelta(0))
    assert not demo.reusable(champion)
    assert demo.in_the_way(champion)
    assert list(taker.progress.took) == [name for name in EXPECTED if name in taker.progress.took]


def test_a_demo_that_ended_before_the_judge_asks_no_model_a_question_twice(
    started: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker, champion, candidates = three(tmp_path)
    taker.measure(champion)
    with monkeypatch.context() as broken:
        broken.setattr("llmgate.demo.run.judge_runs", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            taker.measure(*candidates)
    before = {each.out: (each.out / "journal.jsonl").read_bytes() for each in candidates}
    assert not any((out / "seal.json").exists() for out in before)
    taker.measure(*candidates)
    assert started[-1] == "judge champion"
    for out, journal in before.items():
        assert (out / "journal.jsonl").read_bytes().startswith(journal)
        results = (out / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(results) == 260 + 20  # each judged answer a second time, with its verdict


def test_runs_with_several_judges_are_refused_by_one_server(started: list[str], tmp_path: Path) -> None:
    taker, champion, candidates = three(tmp_path)
    taker.measure(champion)
    other = replace(taker, judge=folder(tmp_path, "other"))
    strange = contender(other, folder(tmp_path, "strange"), baseline=champion.out)
    with (
        taker.asked(candidates[0]) as first,
        other.asked(strange) as second,
        pytest.raises(UsageError, match="several judges"),
    ):
        execute.judge_runs([first, second], progress=taker.progress)
    assert not any(name.startswith("judge") for name in started)


class GatedHere:
    """Instead of a server: a gated registry of this process that goes by the demo's policy.

    Its database is one of its own: MLflow keeps those that it has opened once, by name.
    """

    def __init__(self, database: Path) -> None:
        self.url = f"sqlite:///{database}"
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True

    def start(self, files: RegistryFiles) -> None:
        os.environ[POLICY_VARIABLE] = str(files.policy)

    def ready(self) -> str:
        return self.url


@pytest.fixture
def gated_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[GatedHere]:
    """Every registry that is opened from now on is gated; the ones that a demo started."""
    monkeypatch.setenv(POLICY_VARIABLE, "")
    made: list[GatedHere] = []

    def server() -> GatedHere:
        made.append(GatedHere(tmp_path / f"here-{len(made)}.db"))
        return made[-1]

    monkeypatch.setattr(demo, "GatedServer", server)
    stores = _get_store_registry()  # type: ignore[no-untyped-call]
    monkeypatch.setitem(stores._registry, "sqlite", build_plain)
    return made


def made_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models are there."""
    models = {"fetch_champion": "champion", "resave": "resaved", "degrade": "pruned"}
    for function, name in models.items():
        made = folder(tmp_path, name)
        monkeypatch.setattr(demo, function, lambda *_, made=made: made)


def test_the_whole_goes_on_in_the_folder_of_a_demo_that_asked_otherwise(
    started: list[str],
    gated_here: list[GatedHere],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made_ready(tmp_path, monkeypatch)
    other = tmp_path / "other suites"
    shutil.copytree(SUITES, other)
    (other / "sentiment.yaml").unlink()
    with monkeypatch.context() as before:
        before.setattr(demo, "SUITES", other)
        taker, champion, _ = three(tmp_path)
        taker.measure(champion)
    for left in ("registry/mlflow.db", "runs/resaved-baseline/record/manifest.json"):
        (tmp_path / left).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / left).write_text("of the demo before", encoding="utf-8")
    started.clear()

    assert demo.run_demo(tmp_path) == 0
    assert started == ["model champion", "model resaved", "model pruned", "judge champion"]
    (kept,) = tmp_path.glob("runs-before-*")
    assert len(load_record(kept / "champion").cases) == 170
    assert (kept / "resaved-baseline" / "record" / "manifest.json").exists()
    assert not (tmp_path / "registry" / "mlflow.db").exists()
    said = capsys.readouterr()
    assert "the demo before asked otherwise" in said.err
    # The server's own words, first as they came and then under the table.
    blocked = "llmgate: promotion blocked: smollm2-135m v3 -> champion: the verdict is FAIL; "
    assert "MlflowClient().set_registered_model_alias('smollm2-135m', 'champion', '3')" in said.err
    assert f"{blocked}" in said.err
    assert f"refused by the server: {blocked}" in said.out
    assert "models:/smollm2-135m/1 is champion again (was models:/smollm2-135m/2)" in said.err
    assert "mlflow ui --backend-store-uri" in said.out

    # Again: nothing is asked, and a registry that knows nothing yet sees the same.
    started.clear()
    assert demo.run_demo(tmp_path) == 0
    assert started == []
    again = capsys.readouterr()
    assert "the whole demo" in again.out
    assert f"refused by the server: {blocked}" in again.out
    assert all(one.ended for one in gated_here)


@pytest.mark.usefixtures("gated_here")
def test_a_server_that_lets_everybody_promote_fails_the_demo(tmp_path: Path) -> None:
    taker = runner(tmp_path)
    entry = Entry(
        contender=contender(taker, taker.judge), decision=Mock(spec=Decision), version="models:/smollm2-135m/1"
    )
    with GatedHere(tmp_path / "open.db") as server:
        server.start(make_files(tmp_path / "registry", model="another", suites=("x",)))
        client = open_client(server.url, server.url, create=True)
        client.create_registered_model("smollm2-135m")
        client.create_model_version("smollm2-135m", "s3://bucket/v1")
        with pytest.raises(CannotRunError, match="gave the alias to a version that the gate refuses"):
            replace(taker, mlflow_uri=server.url).ask_directly(entry)


def test_the_suites_are_samples_of_ours_and_small() -> None:
    files = [path for path in SUITES.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100_000
    for data in SUITES.glob("*.jsonl"):
        ours = (REPOSITORY / "datasets" / data.stem / data.name).read_text(encoding="utf-8").splitlines()
        rows = data.read_text(encoding="utf-8").splitlines()
        assert {json.dumps(json.loads(row), sort_keys=True) for row in rows} <= {
            json.dumps(json.loads(row), sort_keys=True) for row in ours
        }
        assert f"{len(rows)} of the {len(ours)} cases of suites/" in data.with_suffix(".yaml").read_text(
            encoding="utf-8"
        )


def test_what_the_gates_can_decide_is_no_luck(tmp_path: Path) -> None:
    """An unchanged model passes all gates together more than 95 % of the time, the 1 % of the slices included."""
    plan = contender(runner(tmp_path), folder(tmp_path, "x")).plan
    passing = 1.0 - plan.policy.slice_alpha
    for design in designs_of((case.planned for case in plan.cases), plan.policy):
        changed, answers = MEASURED[design.policy.suite, design.policy.metric]
        power = plan_power([design], (), discordance=max(changed, 1) / answers)
        passing *= power.metrics[0].pass_if_unchanged
    assert 0.95 < passing < 1.0, passing
    assert len(plan.cases) == 260
    assert math.isclose(sum(EXPECTED.values()), 300.0, abs_tol=60.0)
