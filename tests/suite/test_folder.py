"""What is in a folder is run, named or refused."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import LlmgateError, SuiteError, UsageError
from llmgate.session.run.plan import find_suites
from llmgate.suite.folder import Sort, is_suite_file, left_out, look_at, look_into, sort_content
from llmgate.suite.form.document import read_document
from llmgate.suite.form.signs import MARKER, MAX_BYTES, NEEDED_KEYS, may_be_marked

if TYPE_CHECKING:
    from collections.abc import Callable

SUITE: dict[str, Any] = {
    "llmgate": 1,
    "suite": "s",
    "version": "1.0.0",
    "dataset": "s.jsonl",
    "prompt": [{"role": "user", "content": "{{ q }}: é"}],
    "assert": [{"type": "icontains", "value": "a\nb"}],
}


def renamed(key: str) -> dict[str, Any]:
    return {key if name == MARKER else name: value for name, value in SUITE.items()}


def block(suite: dict[str, Any]) -> str:
    return yaml.safe_dump(suite, sort_keys=False, allow_unicode=True)


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("llmgate: 1\n", Sort.RUN),
        ("# a comment\nllmgate: 1\n", Sort.RUN),
        ("x: |\n  llmgate: 1\n", Sort.OTHER),
        ("services:\n  llmgate: {image: x}\n", Sort.OTHER),
        ("name: ci\nuses: llmgate: x\n", Sort.REFUSED),  # no YAML, and a key for all that one can see
        ("# llmgate: 1\na: [\n", Sort.OTHER),
        ("", Sort.OTHER),
        ("llmgate", Sort.OTHER),
        ("- llmgate\n- prompt\n", Sort.OTHER),
        ("- llmgate: 1\n", Sort.REFUSED),
        ("- llmgate: {a: b}\n", Sort.REFUSED),
        ("llm_gate: {endpoint: x}\n", Sort.LISTED),
        ("llm_gate: 1\n", Sort.REFUSED),
        ("llm_gate: {a: b}\nprompt: x\n", Sort.REFUSED),
        ("llmgate-policy: 1\n", Sort.OTHER),
        ("prompt: x\n", Sort.OTHER),
        ("prompt: x\ndataset: y\n", Sort.LISTED),
        ("Prompt: x\nASSERT: y\n", Sort.LISTED),
        ("a: {prompt: x, dataset: y}\n", Sort.OTHER),
        ("prompt: x\ndataset: [\n", Sort.REFUSED),
        ("prompt: [\n", Sort.OTHER),
        ("<<: {llmgate: 1}\n", Sort.REFUSED),
        ("<<: [{a: 1}, {LLMgate: 1}]\n", Sort.REFUSED),
        ("<<: {a: llmgate}\n", Sort.OTHER),
        ("? [llmgate]\n: 1\n", Sort.OTHER),
        ("a: &k llmgate\n? *k\n: 1\n", Sort.RUN),
        ("? |\n  llmgate\n: 1\n", Sort.REFUSED),
        ('"llm\\tgate": 1\n', Sort.REFUSED),
        ('"ll\\\n  mgate": 1\nx: "\n', Sort.OTHER),
        ('? "ll\\\n  mgate"\n: 1\n', Sort.RUN),
        ("a: *nowhere\nllmgate: 1\n", Sort.REFUSED),
        ("\x1b[2J llmgate: 1\n", Sort.REFUSED),
        ("[" * 100_000, Sort.OTHER),
        ("llmgate: " + "[" * 100_000, Sort.REFUSED),
        ("llmgate: " + "[" * 100_000 + "]" * 100_000, Sort.REFUSED),
        ('{"llmgate":1}', Sort.RUN),
        ('{"llmgate"\t:\t1}', Sort.RUN),
        ('{"a": "llmgate: 1"}', Sort.OTHER),
    ],
)
def test_content_is_sorted_as_the_parser_sees_it(text: str, sort: Sort) -> None:
    assert sort_content(text.encode()).sort is sort


def test_no_reader_is_brought_down(tmp_path: Path) -> None:
    texts = (
        "prompt: " + "[" * 50_000,
        "prompt: " + "{a: " * 50_000,
        "- " * 50_000 + "prompt",
        "? " * 50_000 + "prompt",
    )
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    # In a process of its own, as a reader written in C has died of these.
    program = "from pathlib import Path; from llmgate.suite.folder import look_into; print(*(f.sort for f in look_into(Path())))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["other"] * len(texts)), done.stderr


def test_a_file_that_is_too_long_is_named_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * MAX_BYTES)
    assert look_at(path).sort is Sort.LISTED
    path.write_bytes(b"llmgate: 1\n" + b"#" * MAX_BYTES)
    assert look_at(path).sort is Sort.REFUSED
    data = tmp_path / "long.json"
    data.write_bytes(b"[" + b"1," * MAX_BYTES + b"1]")
    assert look_at(data).sort is Sort.OTHER


def test_only_files_that_call_themselves_suites_are_suites(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("llmgate: 1\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("a: 1\n", encoding="utf-8")
    assert is_suite_file(tmp_path / "a.yaml")
    assert not is_suite_file(tmp_path / "b.yaml")
    assert not is_suite_file(tmp_path / "absent.yaml")
    assert not is_suite_file(tmp_path)


def test_folders_are_searched_once_each(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "s.yaml").write_text("llmgate: 1\n", encoding="utf-8")
    (inner / "up").symlink_to(tmp_path)
    (inner / "here").symlink_to(".")
    (tmp_path / "again").symlink_to(inner)
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "README.txt").symlink_to("nowhere")
    found = look_into(tmp_path)
    assert [(each.path.name, each.sort) for each in found] == [("s.yaml", Sort.RUN), ("gone", Sort.LISTED)]
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    assert [each.path.relative_to(link) for each in look_into(link)] == [
        each.path.relative_to(tmp_path) for each in found
    ]


def test_what_is_listed_is_put_in_few_words(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"o{number}.yaml").write_text("a: 1\n", encoding="utf-8")
    (tmp_path / "p.json").write_text("{}", encoding="utf-8")
    (tmp_path / "s.yaml").write_text("prompt: a\ndataset: b\n", encoding="utf-8")
    lines = left_out(look_into(tmp_path))
    assert [line.replace(f"{tmp_path}/", "") for line in lines] == [
        "not run: s.yaml: it has the keys `dataset`, `prompt`, but no key `llmgate`. "
        "Write `llmgate: 1` on its first line if it is a suite",
        "not suites: o0.yaml, o1.yaml, o2.yaml, o3.yaml, o4.yaml and 5 more",
    ]
    with pytest.raises(UsageError, match=r"(?s)there is no suite here.*not run: .*s\.yaml"):
        find_suites([tmp_path])


STYLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "block": block,
    "flow": lambda suite: yaml.safe_dump(suite, default_flow_style=True, sort_keys=False),
    "sorted": yaml.safe_dump,
    "JSON": lambda suite: json.dumps(suite, ensure_ascii=False),
    "JSON by tabs": lambda suite: json.dumps(suite, indent="\t"),
    "quoted": lambda suite: yaml.safe_dump(suite, default_style='"'),
    "indented": lambda suite: "".join(f"   {line}\n" for line in block(suite).splitlines()),
    "start": lambda suite: f"%YAML 1.1\n---\n{block(suite)}...\n",
    "late": lambda suite: "# words\n\n" * 2000 + block(suite),
    "CRLF": lambda suite: block(suite).replace("\n", "\r\n"),
}
FOREIGN: list[dict[str, Any]] = [
    {"services": {MARKER: {"image": "x"}}},
    {"prompts": ["a"], "tests": []},
    {"prompt": "p"},
]
SPELLINGS = ["LLMGate", "llm-gate", "llm_gate", " llmgate", "llm gate"]


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes, Sort]:
    """The name, the content and what has to become of it."""
    kind = draw(st.sampled_from(["suite", "misspelt", "unmarked", "foreign"]))
    suite = {
        "suite": SUITE,
        "misspelt": renamed(draw(st.sampled_from(SPELLINGS))),
        "unmarked": renamed("marker"),
        "foreign": draw(st.sampled_from(FOREIGN)),
    }[kind]
    sort = {"suite": Sort.RUN, "misspelt": Sort.REFUSED, "unmarked": Sort.LISTED, "foreign": Sort.OTHER}[kind]
    text = STYLES[draw(st.sampled_from(sorted(STYLES)))](suite)
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]))
    content = text.encode(encoding)
    if not encoding.startswith("utf-8"):
        sort = Sort.OTHER if encoding == "utf-16-le" else Sort.LISTED  # the former is UTF-8 with zero bytes in it
    elif draw(st.integers(0, 3)) == 0:
        content += b"\n]: ["
        sort = Sort.OTHER
    if content != text.encode(encoding) or not encoding.startswith("utf-8"):
        sort = sort if kind == "foreign" and MARKER not in text else Sort.REFUSED
    suffix = draw(st.sampled_from([".yaml", ".yml", ".json", ".YAML", ".Yml", ".yaml.off"]))
    if suffix == ".yaml.off":
        sort = Sort.LISTED if sort is Sort.RUN else Sort.OTHER
    folder = draw(st.sampled_from(["", "a/", "a/b.yaml/", "link/", ".hidden/", "build/c/"]))
    if folder in {".hidden/", "build/c/"}:
        sort = Sort.LISTED if sort is Sort.RUN and suffix != ".yaml.off" else Sort.OTHER
    return folder + draw(st.text("xyz.", min_size=1, max_size=3)).strip(".") + "s" + suffix, content, sort


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), files(), max_size=6), st.integers(0, 4))
def test_every_file_is_run_or_named_or_refused(written: dict[str, tuple[str, bytes, Sort]], dangling: int) -> None:
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as elsewhere:
        root = Path(name)
        (root / "link").symlink_to(elsewhere)
        expected: dict[Path, Sort] = {}
        for prefix, (file, content, sort) in written.items():
            folder, _, last = file.rpartition("/")
            path = root / folder / f"{prefix}-{last}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            expected[path] = sort
        if dangling == 0:
            (root / "gone.yaml").symlink_to("nowhere")
            expected[root / "gone.yaml"] = Sort.REFUSED
        found = {each.path: each for each in look_into(root)}
        unsearched = {path for path in expected if not {".hidden", "build"}.isdisjoint(path.parts)}
        assert {path: each.sort for path, each in found.items()} == {
            path: sort for path, sort in expected.items() if path not in unsearched or sort is Sort.LISTED
        }
        # What is to be run really reads as a suite, and nothing that does is left out in silence.
        for path, (_, content, _) in zip(expected, written.values(), strict=False):
            try:
                marked = MARKER in read_document(path).data
            except SuiteError:
                marked = False
            assert not marked or path.suffix == ".off" or found[path].sort in {Sort.RUN, Sort.LISTED}
            assert may_be_marked(content, (MARKER, *NEEDED_KEYS)) or expected[path] is Sort.OTHER
        of_sort = {sort: sorted(path for path, each in expected.items() if each is sort) for sort in Sort}
        if of_sort[Sort.REFUSED] or not of_sort[Sort.RUN]:
            with pytest.raises(LlmgateError) as refusal:
                find_suites([root])
            assert str(refusal.value.where) in map(str, of_sort[Sort.REFUSED] or [root])
            return
        run, lines = find_suites([root])
        assert run == of_sort[Sort.RUN]
        assert all(any(str(path) in line for line in lines) for path in of_sort[Sort.LISTED])
