"""What is signed at the end of a run, what is said where it cannot be, and what the run leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, write_suite
from support.verdicts import REGISTRY, Keys

from llmgate.attest.envelope import read_envelope
from llmgate.attest.statement import read_statement
from llmgate.cli import main
from llmgate.errors import CannotRunError, UsageError
from llmgate.promote.registries import open_registry
from llmgate.record.environment import for_programs
from llmgate.session.decide.attestation import Signing, check_signing, post_verdict, signing_of, why_not_signed
from llmgate.session.decide.records import Baseline
from llmgate.session.options.table import OPTIONS, file_options
from llmgate.session.reach.known_secrets import redactor
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from support.signed_registry import SignedRegistry

    from llmgate.session.settings.typed import Settings

KEY = "llmgate.attestation/champion"
VERSION = {"mlflow_uri": "sqlite:///mlflow.db", "registry_uri": "models:/bot/1"}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LLMGATE_SIGNING_KEY", "LLMGATE_SIGNING_COMMAND", "LLMGATE_REGISTRY_ID"):
        monkeypatch.delenv(name, raising=False)
    # In a CI job, signing asks where the code comes from.
    for name in ("GITHUB_ACTIONS", "GITHUB_EVENT_PATH", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def settings(tmp_path: Path, **given: Any) -> Settings:
    return settings_from({"endpoint": "http://127.0.0.1:1/v1", **given}, root=tmp_path)


def pem(keys: Keys) -> str:
    return (keys.folder / "gate.pem").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["registry-id", "alias", "signing-key"])
def test_a_repository_does_not_choose_what_is_signed(tmp_path: Path, name: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.llmgate]\n{name} = "x"\n', encoding="utf-8")
    assert next(option for option in OPTIONS if option.name == name).by_hand
    with pytest.raises(UsageError, match="is given by hand only"):
        file_options(tmp_path)


def test_programs_get_no_key_and_no_file_shows_it(tmp_path: Path, bot_keys: Keys) -> None:
    text = pem(bot_keys)
    environ = {
        "PATH": "/bin",
        "LLMGATE_SIGNING_KEY": text,
        "LLMGATE_SIGNING_COMMAND": "sign --token abcdefgh",
        "COPY": text,
    }
    assert for_programs(environ, names=["LLMGATE_SIGNING_KEY"]) == {"PATH": "/bin"}
    named = settings(tmp_path, **VERSION, registry_id="prod", signing_key=str(bot_keys.folder / "gate.pem"))
    line = text.splitlines()[1]
    assert "[redacted]" in redactor(named, {}).text(f"it said {line}")
    assert str(bot_keys.folder) not in repr(named)


def test_nothing_is_signed_where_nothing_is_at_hand(tmp_path: Path, bot_keys: Keys) -> None:
    plain, text = settings(tmp_path, **VERSION), pem(bot_keys)
    assert (signing_of(plain, {}), why_not_signed(plain, {})) == (None, None)
    check_signing(plain, {"LLMGATE_SIGNING_KEY": text})
    assert signing_of(plain, {"LLMGATE_SIGNING_KEY": text}) is None
    assert why_not_signed(plain, {"LLMGATE_SIGNING_KEY": text}) == "no registry is named that the verdict is for"
    assert why_not_signed(plain, {"LLMGATE_REGISTRY_ID": "prod"}) == "no signing key is at hand"
    both = {"LLMGATE_SIGNING_KEY": text, "LLMGATE_REGISTRY_ID": "prod"}
    found = signing_of(plain, both)
    assert found is not None
    assert (found.registry, found.alias, found.signer.keyid) == ("prod", "champion", bot_keys.signers["gate"].keyid)
    by_hand = signing_of(settings(tmp_path, **VERSION, registry_id="eu", alias="staging"), both)
    assert by_hand is not None
    assert (by_hand.registry, by_hand.alias) == ("eu", "staging")


@pytest.mark.parametrize(
    ("given", "environ", "problem"),
    [
        ({"registry_id": "prod"}, {}, "a verdict is signed for a registered version, and none is named"),
        ({"registry_id": "prod", "mlflow_uri": "sqlite:///m.db"}, {}, "Add --mlflow-uri, and --mlflow-model or --reg"),
        (
            {"registry_id": "prod", **VERSION},
            {},
            "--registry-id: no signing key is at hand. Set LLMGATE_REGISTRY_ID or",
        ),
        ({"signing_key": "gate.pem", **VERSION}, {}, "--signing-key: no registry is named that the verdict is for"),
        ({"signing_key": "other.pem", **VERSION}, {}, "--signing-key: there is no such file"),
        ({"signing_key": "-----BEGIN PRIVATE KEY-----\nMC4C", **VERSION}, {}, "--signing-key: there is no such file"),
        ({"signing_key": "x" * 5000, **VERSION}, {}, "--signing-key: there is no such file"),
        ({"signing_key": "no.pem", "registry_id": "prod", **VERSION}, {}, "this is no private key"),
        (VERSION, {"LLMGATE_SIGNING_KEY": "secret-value"}, "LLMGATE_SIGNING_KEY: this is no private key"),
        ({"alias": "Champion"}, {}, "did you mean 'champion'"),
    ],
)
def test_what_cannot_be_signed_is_said_before_anything_is_asked(
    tmp_path: Path, bot_keys: Keys, given: dict[str, str], environ: dict[str, str], problem: str
) -> None:
    (tmp_path / "gate.pem").write_text(pem(bot_keys), encoding="utf-8")
    (tmp_path / "no.pem").write_text("nothing", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        check_signing(settings(tmp_path, **given), environ)
    assert problem in str(caught.value)
    assert "MC4C" not in str(caught.value)
    assert "secret-value" not in str(caught.value)


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], env={"COLUMNS": "80"})


def wrong_for(count: int) -> Any:
    wrong = {f"word-{i}" for i in range(count)}
    return lambda body: WRONG if answer_right(body) in wrong else answer_right(body)


def claimed(suite: Path) -> Path:
    head, _, metrics = suite.read_text(encoding="utf-8").rpartition("gate:\n")
    suite.write_text(f"{head}gate:\n  metrics:\n  {metrics}  binding: claimed\n", encoding="utf-8")
    return suite


def run(signed: SignedRegistry, suite: Path, uri: str, out: str, *more: object, wrong: int = 0) -> Result:
    with FakeServer(answer=wrong_for(wrong)) as server:
        return llmgate(
            *("run", suite, "--endpoint", server.url, "--out", out, "--deployment", out),
            *("--mlflow-uri", signed.plain.uri, "--registry-uri", uri, *more),
        )


def test_a_run_signs_its_verdict_and_posts_it(
    signed: SignedRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, uri = claimed(write_suite(tmp_path)), signed.plain.create("v1")
    monkeypatch.setenv("LLMGATE_SIGNING_KEY", pem(signed.keys))
    unsigned = run(signed, suite, uri, "r0")
    assert "signed: no, no registry is named that the verdict is for" in unsigned.output
    assert not (tmp_path / "r0" / "verdict.dsse.json").exists()
    monkeypatch.setenv("LLMGATE_REGISTRY_ID", REGISTRY)
    done = run(signed, suite, uri, "r1")
    assert done.exit_code == 0, done.output
    text = signed.facts(uri).tags[KEY]
    assert (tmp_path / "r1" / "verdict.dsse.json").read_text(encoding="utf-8").strip() == text
    envelope = read_envelope(text)
    assert f"signed: verdict {envelope.digest[:12]} in the tag {KEY} (attempt 2)" in done.output
    verdict = read_statement(envelope.payload, envelope.digest)
    assert (verdict.outcome, verdict.registry.id, verdict.registry.version) == ("PASS", REGISTRY, "1")
    assert (verdict.champion, verdict.attempts, verdict.subject_is) == (None, 2, "journal")
    noted = json.loads((tmp_path / "r1" / "published.json").read_text(encoding="utf-8"))
    names = {entry.path for entry in signed.plain.raw("list_artifacts", noted["mlflow_run"])}
    assert {"verdict.dsse.json", "svr.dsse.json", "verdict.json", "report.html", "record", "decision.json"} <= names
    assert envelope.digest[:12] in noted["signed"]
    # A FAIL is signed as well, for it outdates the PASS.
    failed = run(signed, suite, uri, "r2", wrong=30)
    assert failed.exit_code == 1, failed.output
    after = read_envelope(signed.facts(uri).tags[KEY])
    assert (read_statement(after.payload, after.digest).outcome, after.digest == envelope.digest) == ("FAIL", False)
    assert not (tmp_path / "r2" / "svr.dsse.json").exists()


def test_a_registry_that_takes_no_verdict_ends_the_run_with_4_and_the_decision_is_shown(
    gated: SignedRegistry, tmp_path: Path
) -> None:
    suite, uri = claimed(write_suite(tmp_path)), gated.plain.create("v1")
    key = gated.keys.folder / "stranger.pem"
    done = run(gated, suite, uri, "r1", "--signing-key", key, "--registry-id", REGISTRY)
    assert done.exit_code == 4, done.output
    assert "PASS Ship: " in done.output
    assert f"{uri}: the signed verdict is not on the version: the registry refuses: no key that counts" in done.output
    assert json.loads((tmp_path / "r1" / "published.json").read_text(encoding="utf-8"))["version"] == uri


def test_a_baseline_that_nothing_ties_to_the_champion(signed: SignedRegistry) -> None:
    uri = signed.plain.create("v1")
    record = signed.plain.measure("v1", uri)
    signed.plain.log(record)
    signed.plain.promote(uri)
    second = signed.plain.create("v2")
    other = signed.plain.measure("v2", second)
    decided = signed.plain.gate_run(other, record)
    target = open_registry(signed.plain.uri)
    logged = target.log(decided, subject=None, new=None)
    assert logged.version is not None
    signing = Signing(signer=signed.keys.signers["gate"], registry=REGISTRY, alias="champion")
    asked: dict[str, Any] = {"decision": decided.decision, "signing": signing}
    untied = Baseline(folder=str(record))
    with pytest.raises(CannotRunError, match="nothing ties the baseline to version 1, which holds the alias") as caught:
        post_verdict(target, signed.facts(second), logged.run_id, other, baseline=untied, **asked)
    assert caught.value.fix == f"Run the gate again with --baseline models:/{signed.name}@champion"
    tied = replace(untied, uri=uri)
    posted = post_verdict(target, signed.facts(second), logged.run_id, other, baseline=tied, **asked)
    assert (posted.key, posted.attempts) == (KEY, 1)


def test_a_folder_with_the_champions_weights_will_do(signed: SignedRegistry) -> None:
    first = signed.crown()
    uri = signed.plain.create("v2")
    record = signed.plain.measure("v2", uri)
    again = signed.plain.measure("v1", first.uri, right=99)
    decided = signed.plain.gate_run(record, again)
    target = open_registry(signed.plain.uri)
    logged = target.log(decided, subject=None, new=None)
    signing = Signing(signer=signed.keys.signers["gate"], registry=REGISTRY, alias="champion")
    posted = post_verdict(
        target,
        signed.facts(uri),
        logged.run_id,
        record,
        decision=decided.decision,
        baseline=Baseline(folder=str(again)),
        signing=signing,
    )
    envelope = read_envelope(signed.facts(uri).tags[posted.key])
    champion = read_statement(envelope.payload, envelope.digest).champion
    assert champion is not None
    assert (champion.version, champion.verdict) == ("1", first.posted.digest)


def test_the_commands_by_their_names(signed: SignedRegistry) -> None:
    first = signed.crown()
    signed.succeed(first, "v2")
    where = ("--mlflow-uri", signed.plain.uri)
    told = llmgate("status", f"models:/{signed.name}", *where)
    assert told.exit_code == 0, told.output
    assert f"{signed.name} champion: version 2" in told.output
    assert max(map(len, told.output.splitlines())) <= 80
    back = llmgate("rollback", f"models:/{signed.name}", "--reason", "it swears\x1b[31m", *where)
    assert back.exit_code == 0, back.output
    assert f"{first.uri} is champion again (was models:/{signed.name}/2)" in back.output
    values = json.loads(llmgate("status", f"models:/{signed.name}", "--json", *where).output)
    assert (values["champion"]["version"], values["champion"]["how"], values["gated"]) == ("1", "rolled-back", False)
    again = llmgate("rollback", f"models:/{signed.name}", "--reason", "again", *where)
    assert again.exit_code == 1
    assert "nothing shows who held the alias before version 1" in again.output
    shown = llmgate("status", f"models:/{signed.name}", *where).output
    assert "\x1b" not in shown


@pytest.mark.parametrize("command", [("status",), ("rollback", "--reason", "x")])
@pytest.mark.parametrize("uri", ["models:/bot/1", "models:/bot@champion", "bot", "models:/"])
def test_a_uri_that_names_no_model(command: tuple[str, ...], uri: str) -> None:
    done = llmgate(command[0], uri, *command[1:], "--mlflow-uri", "sqlite:///mlflow.db")
    assert done.exit_code == 2
    assert "Write models:/NAME, and the alias with --alias" in done.output
