"""Where the files lie that a file may name, and how they are opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmgate.errors import DatasetError, SuiteError
from llmgate.record.disk import read_regular
from llmgate.record.reach import Reach, contained, open_regular, project_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with a folder in it, from which commands are given."""
    (tmp_path / "a" / "b" / "suites").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "a" / "b" / "suites")
    return tmp_path


@pytest.mark.parametrize(
    ("signs", "project"),
    [
        ((), "a/b/suites"),
        (("a/.git/",), "a"),
        (("a/b/.git",), "a/b"),  # a file in worktrees and submodules
        (("a/pyproject.toml",), "a"),
        (("a/pytest.ini",), "a"),
        (("a/setup.py", "a/b/tox.ini"), "a/b"),
        (("a/.git/", "a/b/pyproject.toml"), "a"),  # a part of a repository
        (("a/b/suites/.git/", "a/.git/"), "a/b/suites"),
        ((".git/", "pyproject.toml"), "a/b/suites"),  # the home directory itself
        ((".git/", "a/b/setup.cfg"), "a/b"),
    ],
)
def test_a_project_is_the_nearest_repository_or_what_pytest_calls_one(
    home: Path, signs: tuple[str, ...], project: str
) -> None:
    for sign in signs:
        (home / sign).mkdir() if sign.endswith("/") else (home / sign).touch()
    assert project_of(home / "a/b/suites") == home / project


def test_without_one_the_working_folder_is_taken_if_the_suite_lies_in_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, project in ((home / "a", "a"), (home, "a/b/suites"), (Path("/"), "a/b/suites")):
        monkeypatch.chdir(folder)
        assert project_of(home / "a/b/suites") == home / project
    (home / "a" / "other").mkdir()
    monkeypatch.chdir(home / "a" / "other")
    assert project_of(home / "a/b/suites") == home / "a/b/suites"


def test_a_folder_that_everybody_may_write_to_is_no_project(home: Path) -> None:
    (home / "a" / ".git").mkdir()
    (home / "a").chmod(0o1777)
    assert project_of(home / "a/b/suites") == home / "a/b/suites"


def test_a_suite_in_the_home_directory_names_what_lies_beside_it_and_nothing_below(home: Path) -> None:
    reach = Reach.of(home / "x.yaml")
    assert contained(home / "rows.jsonl", reach, where="x:1") == home / "rows.jsonl"
    for name in ("a/key", ".netrc", "../x"):
        for each in (reach, reach.below(home), Reach.of(home / "a" / "x.yaml").below(home)):
            with pytest.raises(SuiteError, match="lies outside|is hidden"):
                contained(home / name, each, where="x:1")


def test_without_a_home_directory_nothing_is_forbidden_but_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda text: text)
    (tmp_path / ".git").mkdir()
    (tmp_path / "suites").mkdir()
    assert project_of(tmp_path / "suites") == tmp_path
    assert Reach.of(Path("/x.yaml")).holder(Path("/etc/passwd")) is None


def test_what_was_allowed_by_hand_is_allowed(tmp_path: Path) -> None:
    inside, other = tmp_path / "in", tmp_path / "other"
    for folder in (inside, other / ".git", other / ".prompts"):
        folder.mkdir(parents=True)
    reach = Reach.of(inside / "x.yaml", [str(other)])
    assert contained(other / "y", reach, where="x:1") == other / "y"
    with pytest.raises(SuiteError, match="is hidden"):
        contained(other / ".git" / "config", reach, where="x:1")
    named = Reach.of(inside / "x.yaml", [str(other / ".prompts")])
    assert contained(other / ".prompts" / "y", named, where="x:1")
    assert contained(other / "y", reach.below(inside), where="x:1")


def test_a_refusal_says_where_it_leads_and_how_to_allow_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "key")
    with pytest.raises(DatasetError) as caught:
        contained(tmp_path / "in" / "link", Reach.of(tmp_path / "in" / "x.yaml"), where="x:3", error=DatasetError)
    assert caught.value.where == "x:3"
    assert f"which is {tmp_path / 'key'}, lies outside {tmp_path / 'in'}" in caught.value.what
    assert str(caught.value.fix).endswith(f"--allow-outside {tmp_path}")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "loop"])
def test_what_is_no_path_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    reach = Reach.of(tmp_path / "x.yaml")
    with pytest.raises((SuiteError, OSError)):
        open_regular(contained(tmp_path / name, reach, where="x"), within=reach)


def test_links_inside_are_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_bytes(b"here")
    (tmp_path / "link").symlink_to("data")
    assert read_regular(tmp_path / "link" / "x", within=Reach.of(tmp_path / "s.yaml")) == b"here"


@pytest.mark.parametrize("which", ["file", "folder"])
def test_a_link_that_is_put_there_after_the_look_is_not_followed(
    tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "data" / "x").write_bytes(b"mine")
    (tmp_path / "x").write_bytes(b"secret")
    resolve = Path.resolve

    def swapped(path: Path, strict: bool = False) -> Path:
        real = resolve(path, strict)
        if path.name == "x" and not (project / "was").exists():
            changed = project / "data" / ("x" if which == "file" else "")
            changed.rename(project / "was")
            changed.symlink_to(tmp_path / ("x" if which == "file" else ""))
        return real

    reach = Reach.of(project / "s.yaml")
    monkeypatch.setattr(Path, "resolve", swapped)
    with pytest.raises(OSError, match="symbolic links|Not a directory"):
        open_regular(project / "data" / "x", within=reach)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fifo", "no regular file"),
        ("/dev/zero", "no regular file"),
        ("folder", "Is a directory"),
        ("none", "No such file"),
    ],
)
def test_only_regular_files_are_opened(tmp_path: Path, name: str, why: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match=why):
        open_regular(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_limit_holds_for_what_is_there_and_for_what_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert read_regular(tmp_path / "x", limit=5) == b"12345"
    assert read_regular(tmp_path / "x", at_most=2) == b"12"
    with pytest.raises(OSError, match="it has 5 bytes, more than 4"):
        read_regular(tmp_path / "x", limit=4)
    with pytest.raises(OSError, match="it has more than 4 bytes"):
        read_regular(Path("/proc/self/status"), limit=4)  # says that it has none
