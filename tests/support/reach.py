"""Files that name files which are none of their business: what was built, who names them, and how."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.session.run.admissions import read_admissions
from llmgate.session.run.plan import make_plan
from llmgate.session.settings.combined import settings_from
from llmgate.suite.cases import plan_suite
from llmgate.suite.data.dataset import write_lock
from llmgate.suite.importers.lm_eval.suites import import_lm_eval
from llmgate.suite.importers.openai_evals import import_openai_evals
from llmgate.suite.importers.promptfoo.config import import_promptfoo
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NAMERS", "SECRET", "WAYS", "Box", "attempt", "attempts"]

SECRET: Final = "correct-horse-battery"
PICTURE: Final = b"\x89PNG\r\n\x1a\n" + SECRET.encode()
CONTENTS: Final[Mapping[str, bytes]] = {
    ".txt": SECRET.encode(),
    ".md": SECRET.encode(),
    ".png": PICTURE,
    ".yaml": f"- vars: {{q: {SECRET}}}\n  assert: [{{type: contains, value: a}}]\n".encode(),
    ".yml": f"vars: {{q: {SECRET}}}\n".encode(),
    ".json": json.dumps({"q": SECRET, "vars": {"q": SECRET}}).encode(),
    ".jsonl": json.dumps(
        {"id": "a", "q": SECRET, "input": [{"role": "user", "content": SECRET}], "ideal": "x"}
    ).encode()
    + b"\n",
}
SHOWN: Final = (SECRET, base64.b64encode(PICTURE).decode())
"""The secret as it would be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A project with a suite and data in it, and what nobody in it may name, beside it and hidden in it."""

    project: Path

    @classmethod
    def build(cls, folder: Path) -> Box:
        """Fill an empty folder."""
        project = folder / "project"
        for name in ("suites", "datasets", ".git", ".keys"):
            (project / name).mkdir(parents=True)
        for suffix, content in CONTENTS.items():
            (folder / f"key{suffix}").write_bytes(content)
            (project / ".keys" / f"key{suffix}").write_bytes(content)
            (project / f"link{suffix}").symlink_to(folder / f"key{suffix}")
            (project / "suites" / f"link{suffix}").symlink_to(folder / f"key{suffix}")
            (project / "datasets" / f"link{suffix}").symlink_to(folder / f"key{suffix}")
            os.mkfifo(project / "suites" / f"fifo{suffix}")
            os.mkfifo(project / "datasets" / f"fifo{suffix}")
            (project / "datasets" / f"null{suffix}").symlink_to("/dev/zero")
        write_lock(folder / "key.jsonl")
        (project / "suites" / "out").symlink_to(folder)
        (project / "datasets" / "out").symlink_to(folder)
        (project / "datasets" / "rows.jsonl").write_text('{"id": "a", "q": "hi", "pic": ""}\n', encoding="utf-8")
        write_lock(project / "datasets" / "rows.jsonl")
        return cls(project=project)


Way = Callable[[Box, str], str]
"""A name, from a folder of the project, of a file with a suffix."""
WAYS: Final[Mapping[str, Way]] = {
    "absolute": lambda box, suffix: str(box.project.parent / f"key{suffix}"),
    "upwards": lambda _, suffix: f"../../key{suffix}",
    "around": lambda box, suffix: f"./../{box.project.name}/../../key{suffix}".replace("/project/../..", "/../"),
    "link": lambda _, suffix: f"link{suffix}",
    "link above": lambda _, suffix: f"../link{suffix}",
    "folder": lambda _, suffix: f"out/key{suffix}",
    "hidden": lambda _, suffix: f"../.keys/key{suffix}",
    "fifo": lambda _, suffix: f"fifo{suffix}",
    "device": lambda _, suffix: f"../datasets/null{suffix}",
    "environ": lambda *_: "/proc/self/environ",
    "environ above": lambda *_: "../" * 40 + "proc/self/environ",
    "root": lambda box, suffix: f"/proc/self/root{box.project.parent}/key{suffix}",
    "cwd": lambda _, suffix: f"/proc/self/cwd/key{suffix}",
    "stdin": lambda *_: "/dev/stdin",
}


def suite(
    box: Box, *, prompt: str = '[{role: user, content: "{{ q }}"}]', extra: str = "", data: str = "rows"
) -> object:
    """Plan a suite, and return what would be asked."""
    path = box.project / "suites" / "x.yaml"
    dataset = "../datasets/rows.jsonl" if data == "rows" else data
    path.write_text(
        f"llmgate: 1\nsuite: x\nversion: 1.0.0\ndataset: {json.dumps(dataset)}\nprompt: {prompt}\n"
        f"assert: [{{type: contains, value: a}}]\n{extra}",
        encoding="utf-8",
    )
    planned = plan_suite(load_suite(path, VOCABULARY), VOCABULARY)
    settings = settings_from({}, root=box.project)
    plan = make_plan([planned], settings)
    return [case.messages for case in plan.cases], read_admissions(settings, plan)


def row_picture(box: Box, name: str) -> object:
    """A row that names a picture."""
    rows = box.project / "datasets" / "pictures.jsonl"
    rows.write_text(json.dumps({"id": "a", "pic": name}) + "\n", encoding="utf-8")
    write_lock(rows)
    return suite(box, prompt='[{role: user, content: [{image: "{{ pic }}"}]}]', data="../datasets/pictures.jsonl")


def foo(box: Box, text: str) -> object:
    """Import a promptfoo configuration."""
    path = box.project / "suites" / "promptfooconfig.yaml"
    path.write_text(text, encoding="utf-8")
    return import_promptfoo(path, VOCABULARY)


def task(box: Box, text: str) -> object:
    """Import a task of lm-eval."""
    path = box.project / "suites" / "task.yaml"
    path.write_text(text, encoding="utf-8")
    return import_lm_eval(path, VOCABULARY)


def evals(box: Box, name: str) -> object:
    """Import an eval of OpenAI's."""
    path = box.project / "suites" / "eval.yaml"
    spec = {"x": {"class": "evals.elsuite.basic.match:Match", "args": {"samples_jsonl": name}}}
    path.write_text(json.dumps(spec), encoding="utf-8")
    return import_openai_evals(path, VOCABULARY)


TESTS: Final = "tests: [{vars: {q: a}, assert: [{type: contains, value: a}]}]"
Namer = tuple[str, Callable[["Box", str], object]]
"""The suffix of the file, and what names it."""
NAMERS: Final[Mapping[str, Namer]] = {
    "prompt": (".md", lambda box, name: suite(box, prompt=f"[{{file: {json.dumps(name)}}}]")),
    "prompt in yaml": (".txt", lambda box, name: suite(box, prompt=f"[{{file: {json.dumps(name)}}}]")),
    "dataset": (".jsonl", lambda box, name: suite(box, data=name)),
    "picture": (
        ".png",
        lambda box, name: suite(box, prompt=f"[{{role: user, content: [{{image: {json.dumps(name)}}}]}}]"),
    ),
    "picture of a row": (".png", row_picture),
    "admission": (".json", lambda box, name: suite(box, extra=f"judge: {{admission: {json.dumps(name)}}}\n")),
    "promptfoo prompt": (".txt", lambda box, name: foo(box, f"prompts: ['file://{name}']\n{TESTS}")),
    "promptfoo prompt, bare": (".txt", lambda box, name: foo(box, f"prompts: ['{name}']\n{TESTS}")),
    "promptfoo prompt, labelled": (
        ".md",
        lambda box, name: foo(box, f"prompts: [{{id: 'file://{name}', label: x}}]\n{TESTS}"),
    ),
    "promptfoo prompt, rows": (".jsonl", lambda box, name: foo(box, f"prompts: ['file://{name}']\n{TESTS}")),
    "promptfoo variable": (
        ".txt",
        lambda box, name: foo(
            box,
            f"prompts: ['{{{{q}}}}']\ntests: [{{vars: {{q: 'file://{name}'}}, assert: [{{type: contains, value: a}}]}}]",
        ),
    ),
    "promptfoo variables": (
        ".yml",
        lambda box, name: foo(
            box, f"prompts: ['{{{{q}}}}']\ntests: [{{vars: 'file://{name}', assert: [{{type: contains, value: a}}]}}]"
        ),
    ),
    "promptfoo list of variables": (
        ".yml",
        lambda box, name: foo(
            box, f"prompts: ['{{{{q}}}}']\ntests: [{{vars: ['{name}'], assert: [{{type: contains, value: a}}]}}]"
        ),
    ),
    "promptfoo tests": (".yaml", lambda box, name: foo(box, f"prompts: ['{{{{q}}}}']\ntests: 'file://{name}'")),
    "promptfoo tests, bare": (".yaml", lambda box, name: foo(box, f"prompts: ['{{{{q}}}}']\ntests: ['{name}']")),
    "promptfoo scenarios": (
        ".yaml",
        lambda box, name: foo(
            box, f"prompts: ['{{{{q}}}}']\nscenarios: [{{config: [{{vars: {{}}}}], tests: '{name}'}}]"
        ),
    ),
    "promptfoo defaults": (
        ".json",
        lambda box, name: foo(box, f"prompts: ['{{{{q}}}}']\ndefaultTest: 'file://{name}'\n{TESTS}"),
    ),
    "lm-eval include": (".yaml", lambda box, name: task(box, f"include: {json.dumps(name)}\n")),
    "lm-eval data": (
        ".jsonl",
        lambda box, name: task(
            box,
            "task: x\ndataset_path: json\ntest_split: test\noutput_type: generate_until\ndoc_to_text: '{{q}}'\n"
            f"doc_to_target: id\ndataset_kwargs: {{data_files: {{test: {json.dumps(name)}}}}}\n",
        ),
    ),
    "openai-evals samples": (".jsonl", evals),
}


def attempt(box: Box, namer: str, way: str) -> str:
    """What becomes of an attempt: `refused`, or what got through."""
    suffix, name_it = NAMERS[namer]
    try:
        result = repr(name_it(box, WAYS[way](box, suffix)))
    except LlmgateError as error:
        result = str(error)
        return f"told: {result}" if any(text in result for text in SHOWN) else "refused"
    return "read" if any(text in result for text in SHOWN) else f"let through: {result[:300]}"


def attempts(folder: Path) -> dict[str, str]:
    """All of them, by what names and how; only those that were not refused."""
    box = Box.build(folder)
    ended = {f"{namer} by {way}": attempt(box, namer, way) for namer in NAMERS for way in WAYS}
    return {name: end for name, end in ended.items() if end != "refused"}
