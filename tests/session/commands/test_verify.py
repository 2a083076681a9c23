"""`llmgate verify`: weights against a signed verdict."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.adapters import write_adapter
from support.servers import model_folder
from support.verdicts import Keys, gate_statement, make_keys, registry_facts

from llmgate.attest.statement import ChampionFacts, RegistryFacts, bind
from llmgate.cli import main
from llmgate.errors import AttestationError, CannotRunError, LlmgateError, RecordError, UsageError, WeightsError
from llmgate.record.manifest import adapted_digest
from llmgate.record.weights import weights_digest, weights_manifest
from llmgate.session.commands.verdict.for_serving import VerifyQuestion
from llmgate.session.commands.verify import WeightsCheck, verify_weights
from llmgate.session.progress import LineProgress

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 28, 20, tzinfo=UTC)
CHAMPION = ChampionFacts(version="1", created_at=datetime(2026, 10, 1, tzinfo=UTC))


def signed(
    keys: Keys,
    weights: str | None,
    *,
    facts: RegistryFacts | None = None,
    champion: ChampionFacts | None = CHAMPION,
    roles: tuple[str, ...] = ("gate",),
    issued_at: datetime = NOW - timedelta(days=1),
    change: Callable[[dict[str, Any]], object] | None = None,
    **told: Any,
) -> str:
    """A gate's verdict about weights of this digest; None for one about answers."""
    statement = gate_statement(weights=None if weights is None else "w", **told)
    if weights is not None:
        statement["subject"][0]["digest"]["sha256"] = weights
    bound = bind(
        statement,
        registry=facts or registry_facts(),
        champion=champion,
        records={"candidate": "1" * 64, "baseline": None, "decision": "2" * 64},
        attempts=1,
        issued_at=issued_at,
        expires_at=issued_at + timedelta(days=30),
    )
    if change is not None:
        change(bound)
    return keys.sign(bound, *roles)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A folder that is about to be served, with a verdict that let it pass."""

    folder: Path
    keys: Keys
    verdict: Path

    def ask(self, what: str | Path | None = None, **changes: Any) -> WeightsCheck:
        """The question, put at a fixed time."""
        given = {"verdict": self.verdict, "policy": self.keys.path, **changes}
        now = given.pop("now", NOW)
        adapter = given.pop("adapter", None)
        question = VerifyQuestion(what=str(what or self.folder), adapter=adapter and str(adapter), **given)
        return verify_weights(question, LineProgress(lambda _: None), now=now)

    def with_verdict(self, text: str) -> None:
        """Put another verdict in the place of the right one."""
        self.verdict.write_text(text, encoding="utf-8")


@pytest.fixture
def deployed(tmp_path: Path) -> Deployment:
    folder = model_folder(tmp_path)
    for number, letter in enumerate("abc", start=1):
        (folder / f"model-0000{number}.safetensors").write_text(letter * 100, encoding="ascii")
    keys = make_keys(tmp_path / "keys")
    run = tmp_path / "run"
    run.mkdir()
    manifest = weights_manifest(folder)
    (run / "weights.json").write_text(manifest.to_json(), encoding="utf-8")
    verdict = run / "verdict.dsse.json"
    verdict.write_text(signed(keys, manifest.digest), encoding="utf-8")
    return Deployment(folder=folder, keys=keys, verdict=verdict)


def test_weights_that_passed_are_verified(deployed: Deployment) -> None:
    check = deployed.ask()
    assert check.verified
    assert check.exit_code == 0
    assert "holds the weights of support-bot version 2, which got PASS on 2026-11-27" in check.sentence
    assert check.lines == ()
    assert deployed.ask(policy=None, key=deployed.keys.folder / "gate.pub").verified
    assert deployed.ask(model="support-bot", alias="champion", max_age=timedelta(days=2)).verified


def test_an_adapter_that_passed_is_verified_with_its_base(deployed: Deployment, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", seed=1)
    other = write_adapter(tmp_path / "other", seed=2)
    whole = adapted_digest(weights_digest(deployed.folder), weights_digest(adapter))
    assert not deployed.ask(adapter=adapter).verified, "the verdict is about the base alone"
    deployed.with_verdict(signed(deployed.keys, whole))
    check = deployed.ask(adapter=adapter)
    assert check.verified
    assert f"{deployed.folder} with {adapter} holds" in check.sentence
    assert whole[:12] in check.sentence
    for changed in (deployed.ask(), deployed.ask(adapter=other), deployed.ask(adapter, adapter=deployed.folder)):
        assert changed.exit_code == 1
    with pytest.raises(CannotRunError, match="no server shows the weights of its adapters"):
        deployed.ask("http://127.0.0.1:9", adapter=adapter)


# ── the weights are others ──


def swap_a_byte(folder: Path) -> str:
    path = folder / "model-00002.safetensors"
    times = path.stat()
    path.write_text("b" * 99 + "B", encoding="ascii")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return "model-00002.safetensors: 100 bytes as expected, but other contents"


def swap_two_names(folder: Path) -> str:
    first, second = folder / "model-00001.safetensors", folder / "model-00002.safetensors"
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)
    return (
        "model-00001.safetensors: 100 bytes as expected, but other contents, those of model-00002.safetensors\n"
        "model-00002.safetensors: 100 bytes as expected, but other contents, those of model-00001.safetensors"
    )


def add_code(folder: Path) -> str:
    (folder / "modeling_bot.py").write_text("import os", encoding="utf-8")
    return "modeling_bot.py: added"


def add_an_unknown_kind(folder: Path) -> str:
    (folder / "experts.shard0").write_bytes(b"x")
    return "experts.shard0: added"


def add_a_template(folder: Path) -> str:
    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    return "chat_template.jinja: added"


def remove_a_shard(folder: Path) -> str:
    (folder / "model-00003.safetensors").unlink()
    return "model-00003.safetensors: missing"


def link_to_something_else(folder: Path) -> str:
    outside = folder.parent / "outside.safetensors"
    outside.write_text("c" * 101, encoding="ascii")
    (folder / "model-00003.safetensors").unlink()
    (folder / "model-00003.safetensors").symlink_to(outside)
    return (
        "model-00003.safetensors: 101 bytes, not 100\n"
        "1 of the files are links that lead out of the folder, such as model-00003.safetensors: what they lead to was "
        "hashed, and has to be read-only as well."
    )


@pytest.mark.parametrize(
    "change",
    [
        swap_a_byte,
        swap_two_names,
        add_code,
        add_an_unknown_kind,
        add_a_template,
        remove_a_shard,
        link_to_something_else,
    ],
)
def test_weights_that_were_changed_are_refused_by_file(deployed: Deployment, change: Callable[[Path], str]) -> None:
    lines = change(deployed.folder)
    check = deployed.ask()
    assert not check.verified
    assert check.exit_code == 1
    assert check.sentence.startswith(f"Refused: {deployed.folder} does not hold the weights of support-bot version 2")
    assert "\n".join(check.lines) == lines


def test_without_a_manifest_it_says_that_it_cannot_name_files(deployed: Deployment) -> None:
    (deployed.verdict.with_name("weights.json")).rename(deployed.verdict.parent / "elsewhere.json")
    add_code(deployed.folder)
    assert "is not known: give --manifest" in deployed.ask().lines[0]
    assert deployed.ask(manifest=deployed.verdict.parent / "elsewhere.json").lines == ("modeling_bot.py: added",)
    assert "No such file" in deployed.ask(manifest=deployed.verdict.parent / "absent.json").lines[0]


def test_a_manifest_of_other_weights_names_no_files(deployed: Deployment) -> None:
    add_code(deployed.folder)
    deployed.verdict.with_name("weights.json").write_text(weights_manifest(deployed.folder).to_json(), encoding="utf-8")
    check = deployed.ask()
    assert not check.verified
    assert "is the manifest of other weights" in check.lines[0]


@pytest.mark.parametrize("spoil", [lambda path: os.mkfifo(path / "vocab.json"), shutil.rmtree])
def test_what_cannot_be_read_cannot_be_verified(deployed: Deployment, spoil: Callable[[Path], object]) -> None:
    spoil(deployed.folder)
    with pytest.raises(WeightsError) as error:
        deployed.ask()
    assert error.value.exit_code == 4


# ── the verdict is refused ──


def forged(text: str) -> str:
    """The payload says PASS where FAIL was signed."""
    values = json.loads(text)
    payload = base64.b64decode(values["payload"]).replace(b'"verdict":"FAIL"', b'"verdict":"PASS"')
    return json.dumps({**values, "payload": base64.b64encode(payload).decode()})


def refused(deployed: Deployment, text: str, match: str, **changes: Any) -> None:
    deployed.with_verdict(text)
    with pytest.raises(AttestationError, match=match) as error:
        deployed.ask(**changes)
    assert error.value.exit_code == 1


def test_verdicts_that_let_nothing_pass_are_refused(deployed: Deployment) -> None:
    digest = weights_digest(deployed.folder)
    refused(deployed, signed(deployed.keys, digest, outcome="FAIL"), "the verdict is FAIL")
    refused(deployed, signed(deployed.keys, digest, outcome="INCONCLUSIVE"), "the verdict is INCONCLUSIVE")
    refused(deployed, forged(signed(deployed.keys, digest, outcome="FAIL")), "the signature is not valid")
    refused(deployed, signed(deployed.keys, digest, roles=("stranger",)), "no key that counts")
    refused(deployed, signed(deployed.keys, digest, roles=("override",)), "may not sign a verdict")
    refused(deployed, signed(deployed.keys, digest, issued_at=NOW + timedelta(hours=1)), "still to come")
    refused(deployed, "{}", "envelope")
    refused(deployed, "", "envelope")


def test_a_verdict_of_other_weights_does_not_match(deployed: Deployment) -> None:
    deployed.with_verdict(signed(deployed.keys, "7" * 64))
    assert deployed.ask().exit_code == 1


def test_what_the_policy_asks_for_counts_here_too(deployed: Deployment, tmp_path: Path) -> None:
    digest = weights_digest(deployed.folder)
    refused(deployed, signed(deployed.keys, digest, suites=(("other", "1"),)), "lacks the suite support")
    refused(deployed, signed(deployed.keys, digest, champion=None), "no key of the role bootstrap")
    refused(deployed, signed(deployed.keys, digest, roles=("bootstrap",)), "no key of the role gate")
    refused(deployed, signed(deployed.keys, digest, facts=registry_facts(id="other")), "for the registry 'other'")
    deployed.with_verdict(signed(deployed.keys, digest, champion=None, roles=("bootstrap",)))
    assert deployed.ask().verified
    more = make_keys(tmp_path / "more", protect=PROTECT_OTHERS)
    deployed.with_verdict(signed(more, digest, suites=(("other", "1"),)))
    assert deployed.ask(policy=more.path).verified


PROTECT_OTHERS = """
  - models: ["other-*"]
    suites: {support: "*"}
"""


def test_a_verdict_about_another_model_or_alias_is_refused_where_one_is_named(deployed: Deployment) -> None:
    text = deployed.verdict.read_text(encoding="utf-8")
    refused(deployed, text, "for the model 'support-bot' and not for 'bot'", model="bot")
    refused(deployed, text, "for the alias 'champion' and not for 'shadow'", alias="shadow")


def test_an_expired_verdict_is_served_and_refused_by_age_alone(deployed: Deployment) -> None:
    later = NOW + timedelta(days=200)
    check = deployed.ask(now=later)
    assert check.verified
    assert check.lines[0].startswith("The verdict expired on 2026-12-27: it promotes nothing any more.")
    refused(
        deployed,
        deployed.verdict.read_text(encoding="utf-8"),
        "older than --max-age",
        now=later,
        max_age=timedelta(days=90),
    )


def test_a_key_that_expired_verifies_nothing(deployed: Deployment) -> None:
    text = deployed.keys.path.read_text(encoding="utf-8")
    deployed.keys.path.write_text(
        text.replace("file: gate.pub", "file: gate.pub\n    not_after: 2026-11-28"), encoding="utf-8"
    )
    refused(deployed, deployed.verdict.read_text(encoding="utf-8"), "gate-key expired on 2026-11-28")


def test_an_override_counts_only_where_it_is_asked_for(deployed: Deployment) -> None:
    text = deployed.keys.override(registry_facts(), champion=CHAMPION)
    values = json.loads(base64.b64decode(json.loads(text)["payload"]))
    values["subject"][0]["digest"]["sha256"] = weights_digest(deployed.folder)
    text = deployed.keys.sign(values, "override")
    now = datetime.now(UTC)
    refused(deployed, text, r"ada@example\.org overrode it \(the champion leaks", now=now)
    check = deployed.ask(allow_override=True, now=now)
    assert check.verified
    assert "which ada@example.org let pass" in check.sentence
    assert check.lines[0].startswith("No gate let them pass: ada@example.org overrode it")


def test_a_verdict_about_answers_cannot_be_held_against_weights(deployed: Deployment) -> None:
    deployed.with_verdict(signed(deployed.keys, None))
    with pytest.raises(CannotRunError, match="names no weights") as error:
        deployed.ask()
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("changes", "kind", "match"),
    [
        ({"policy": None}, UsageError, "whose signature counts"),
        ({"key": Path("x")}, UsageError, "whose signature counts"),
        ({"policy": None, "key": Path("absent.pem")}, UsageError, "public key cannot be read"),
        ({"policy": Path("absent.yaml")}, UsageError, "policy cannot be read"),
        ({"verdict": None}, UsageError, "no verdict is named"),
        ({"verdict": Path("absent.json")}, RecordError, "the verdict cannot be read"),
        ({"what": "models:/bot"}, UsageError, "names no version"),
        ({"what": "models:/bot/latest"}, UsageError, "names no version"),
    ],
)
def test_questions_that_cannot_be_answered(
    deployed: Deployment, changes: dict[str, Any], kind: type[LlmgateError], match: str
) -> None:
    with pytest.raises(kind, match=match):
        deployed.ask(**changes)


# ── earlier digests ──


def test_earlier_digests_are_not_believed_unless_told(deployed: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even on a person's own machine: something is started because of what is said here."""
    cache = deployed.folder.parent / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("llmgate.record.weights_cache.YOUNG_S", 0.0)
    assert deployed.ask(trust_cache=True).verified
    path = cache / "llmgate" / "weights.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "files": dict.fromkeys(content["files"], "0" * 64)}), encoding="utf-8")
    # What this process hashed itself is believed before any file.
    monkeypatch.setattr("llmgate.session.reach.weights.HASHED_HERE", {})
    assert not deployed.ask(trust_cache=True).verified
    assert deployed.ask().verified


# ── the command ──


def run(*args: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["verify", *map(str, args)])
    return result.exit_code, result.output


def test_the_command_ends_with_the_code_that_scripts_read(deployed: Deployment) -> None:
    given = (deployed.folder, "--verdict", deployed.verdict, "--policy", deployed.keys.path)
    deployed.with_verdict(signed(deployed.keys, weights_digest(deployed.folder), issued_at=datetime.now(UTC)))
    code, said = run(*given, "--max-age", "2d")
    assert (code, said.splitlines()[0][:9]) == (0, "Verified:")
    add_code(deployed.folder)
    code, said = run(*given)
    assert (code, said.splitlines()[-1]) == (1, "modeling_bot.py: added")
    assert run(*given[:-1], deployed.keys.folder / "gate.pub")[0] == 2
    assert run(*given, "--max-age", "soon")[0] == 2
    deployed.with_verdict(signed(deployed.keys, weights_digest(deployed.folder), outcome="FAIL"))
    assert run(*given)[0] == 1
    os.mkfifo(deployed.folder / "vocab.json")
    deployed.with_verdict(signed(deployed.keys, "1" * 64, issued_at=datetime.now(UTC)))
    assert run(*given)[0] == 4


def test_names_of_files_drive_no_terminal(deployed: Deployment) -> None:
    (deployed.folder / "evil\x1b[2J.bin").write_bytes(b"x")
    deployed.with_verdict(signed(deployed.keys, weights_digest(deployed.folder), issued_at=datetime.now(UTC)))
    (deployed.folder / "evil\x1b[2J.bin").unlink()
    said = run(deployed.folder, "--verdict", deployed.verdict, "--key", deployed.keys.folder / "gate.pub")[1]
    assert "\x1b" not in said


# ── a running server ──


def of_server(deployed: Deployment, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]) -> WeightsCheck:
    """A server that has loaded the folder's one tensor and, perhaps, something else."""
    path = deployed.folder / "model.safetensors"
    header = b'{"a.weight": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},'
    header += b' "b.weight": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"abcd")
    for file in deployed.folder.glob("model-*"):
        file.unlink()
    deployed.with_verdict(signed(deployed.keys, weights_digest(deployed.folder)))
    rank = "dp0:pp0:pcp0:tp0:"
    told = {f"{rank}a.weight": b"ab", f"{rank}b.weight": b"cd"}
    checksums = {**{key: hashlib.sha256(data).hexdigest() for key, data in told.items()}, **change}
    monkeypatch.setattr("llmgate.session.commands.verify.loaded_checksums", lambda *_, **__: checksums)
    return deployed.ask("http://127.0.0.1:8000", weights=deployed.folder)


def test_a_server_that_shows_the_folders_tensors_is_verified(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = of_server(deployed, monkeypatch, {})
    assert check.verified
    assert "2 parameters, as in" in check.sentence
    assert "The server says so of itself" in check.lines[0]


def test_a_server_that_holds_other_tensors_is_refused(deployed: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    check = of_server(deployed, monkeypatch, {"dp0:pp0:pcp0:tp0:b.weight": "1" * 64})
    assert check.exit_code == 1
    assert check.lines == ("dp0:pp0:pcp0:tp0:b.weight: other bytes",)


def test_a_server_that_shows_only_some_tensors_is_not_verified(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CannotRunError, match="1 tensors cannot be compared"):
        of_server(deployed, monkeypatch, {"dp0:pp0:pcp0:tp0:c.weight": "1" * 64})
    # Nothing matches: it may have been converted, or be another model.
    with pytest.raises(CannotRunError, match="2 tensors cannot be compared"):
        of_server(deployed, monkeypatch, {"dp0:pp0:pcp0:tp0:a.weight": "1" * 64, "dp0:pp0:pcp0:tp0:b.weight": "1" * 64})


def test_a_server_of_a_folder_that_did_not_pass_is_refused(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert of_server(deployed, monkeypatch, {}).verified
    add_code(deployed.folder)
    assert deployed.ask("http://127.0.0.1:8000", weights=deployed.folder).exit_code == 1
    with pytest.raises(CannotRunError, match="Name the folder that the server loaded"):
        deployed.ask("http://127.0.0.1:8000")
