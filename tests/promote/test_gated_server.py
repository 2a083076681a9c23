"""From a run to a champion and back, over HTTP, against `mlflow server` behind its gate: as a pipeline would do it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer
from support.gated_server import start_server
from support.project import WRONG, answer_right, write_suite
from support.verdicts import REGISTRY, Keys, make_keys

from llmgate.cli import main
from llmgate.mlflow_quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server]

PROTECT = """
  - models: ["support-*"]
    aliases: [champion]
    suites: {words: "1.*"}
    binding: claimed
"""
MODEL = "support-bot"


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A project, a gated server, and the keys that it trusts."""

    folder: Path
    url: str
    keys: Keys
    client: Any

    def llmgate(self, *args: object, **environ: str) -> Result:
        """The command, in this process: starting one takes longer than all that it asks the server."""
        ours = ("LLMGATE_", "MLFLOW_", "GITHUB_", "GITLAB_", "CI_")
        gone = {name: None for name in os.environ if name.startswith(ours)}
        told = {**gone, "MLFLOW_TRACKING_URI": self.url, "COLUMNS": "80", **environ}
        return CliRunner().invoke(main, [str(arg) for arg in args], env=told)

    def register(self) -> str:
        """A new version; its URI."""
        with quiet():
            number = self.client.create_model_version(MODEL, "s3://bucket/support-bot").version
        return f"models:/{MODEL}/{number}"

    def run(self, out: str, *more: object, wrong: int = 0, role: str | None = "gate") -> tuple[str, int, str]:
        """Gate a new version at an endpoint: its URI, the exit code, and what was said."""
        uri = self.register()
        key = (self.keys.folder / f"{role}.pem").read_text(encoding="utf-8") if role else ""
        missed = {f"word-{i}" for i in range(wrong)}

        def answer(body: dict[str, Any]) -> str:
            return WRONG if answer_right(body) in missed else answer_right(body)

        with FakeServer(answer=answer) as server:
            done = self.llmgate(
                *("run", "words.yaml", "--endpoint", server.url, "--deployment", out, "--out", out),
                *("--mlflow-uri", self.url, "--registry-uri", uri, *more),
                LLMGATE_REGISTRY_ID=REGISTRY,
                LLMGATE_SIGNING_KEY=key,
            )
        return uri, done.exit_code, done.output

    def holder(self) -> str | None:
        """The version that holds the alias."""
        with quiet():
            number = self.client.get_registered_model(MODEL).aliases.get("champion")
        return None if number is None else f"models:/{MODEL}/{number}"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """All of it."""
    folder = tmp_path_factory.mktemp("pipeline")
    keys = make_keys(folder / "keys", protect=PROTECT)
    suite = write_suite(folder)
    head, _, metrics = suite.read_text(encoding="utf-8").rpartition("gate:\n")
    suite.write_text(f"{head}gate:\n  metrics:\n  {metrics}  binding: claimed\n", encoding="utf-8")
    with start_server(folder / "server", policy=keys.path) as server:
        with quiet():
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=server.url)
            client.create_registered_model(MODEL)
        yield Pipeline(folder=folder, url=server.url, keys=keys, client=client)


def test_from_a_run_to_a_champion_and_back(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pipeline.folder)
    champion = f"models:/{MODEL}@champion"
    # Nobody holds the alias, and an ordinary key does not make the first champion.
    early, code, said = pipeline.run("early", wrong=3)
    assert code == 0, said
    refused = pipeline.llmgate("promote", early)
    assert refused.exit_code == 1
    assert f"{MODEL} v1 -> champion: the registry refuses: nobody holds the alias yet" in refused.stderr
    assert "key of the role bootstrap" in refused.stderr
    first, code, said = pipeline.run("first", role="bootstrap", wrong=3)
    assert code == 0, said
    assert "signed: verdict " in said
    assert pipeline.llmgate("promote", first).exit_code == 0
    assert pipeline.holder() == first

    # A verdict that is not signed, and a FAIL that is: the server refuses whoever asks, and however.
    unsigned, code, said = pipeline.run("unsigned", "--baseline", champion, role=None, wrong=3)
    assert code == 0, said
    assert "signed: no, no signing key is at hand" in said
    asked = pipeline.llmgate("promote", unsigned)
    assert asked.exit_code == 1
    assert "the registry refuses: no verdict of this version is known to the registry" in asked.stderr
    bad, code, said = pipeline.run("bad", "--baseline", champion, wrong=30)
    assert code == 1, said
    assert pipeline.llmgate("promote", bad).exit_code == 1
    for uri, why in ((unsigned, "no verdict of this version"), (bad, "the verdict is FAIL")):
        with quiet(), pytest.raises(Exception, match=f"PERMISSION_DENIED: llmgate: promotion blocked: .*{why}"):
            pipeline.client.set_registered_model_alias(MODEL, "champion", uri.rsplit("/", 1)[1])
    assert pipeline.holder() == first

    # A successor, with the policy at hand; and back again.
    second, code, said = pipeline.run("second", "--baseline", champion, wrong=2)
    assert code == 0, said
    done = pipeline.llmgate("promote", second, "--registry-policy", pipeline.keys.path)
    assert done.exit_code == 0, done.stderr
    assert f"{second} is now champion (was {first})" in done.stdout
    back = pipeline.llmgate("rollback", f"models:/{MODEL}", "--reason", "it swears at customers")
    assert back.exit_code == 0, back.stderr
    assert pipeline.holder() == first
    again = pipeline.llmgate("promote", second)
    assert again.exit_code == 1
    assert pipeline.holder() == first

    # A stranger's key: the registry takes no such verdict.
    uri, code, said = pipeline.run("stranger", "--baseline", champion, role="stranger", wrong=2)
    assert code == 4, said
    assert f"{uri}: the signed verdict is not on the version: the registry refuses: no key that counts" in said

    told = pipeline.llmgate("status", f"models:/{MODEL}")
    assert told.exit_code == 0, told.stderr
    assert f"{MODEL} champion: version 2" in told.stdout
    assert "because    it swears at customers" in told.stdout
    assert "gated: it refuses what no verdict allows" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    values = json.loads(pipeline.llmgate("status", f"models:/{MODEL}", "--json").stdout)
    assert [event["event"] for event in values["history"] if event["event"] != "verdict"] == [
        "rolled-back",
        "promoted",
        "bootstrapped",
    ]
    assert [one["version"] for one in values["waiting"]] == ["6", "5", "4", "3"]
    assert (values["gated"], values["ledger_holder"], values["champion"]["over"]) == (True, None, "5")
