"""The house stays one that explains itself: sizes, names, and a page that is true."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "llmgate"
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
ROOMS: Final = sorted({module.parent for module in MODULES} - {PACKAGE})
MOST_LINES: Final = 400
MOST_MODULES: Final = 25


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_is_a_hall() -> None:
    sizes = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: lines for path, lines in sizes.items() if lines > MOST_LINES} == {}


def test_no_folder_is_a_hall() -> None:
    counts = {shown(room): len(list(room.glob("*.py"))) for room in [PACKAGE, *ROOMS]}
    assert {room: count for room, count in counts.items() if count > MOST_MODULES} == {}


def test_one_public_class_has_one_name() -> None:
    homes = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(shown(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("room", ROOMS, ids=shown)
def test_every_room_says_what_lives_in_it(room: Path) -> None:
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert text is not None
    assert len(text) > len(room.name)


def test_the_page_names_every_room_and_nothing_that_is_gone() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:llmgate|tests|docs|benchmarks|action)/[\w./-]*)`", page))
    assert {path for path in named if not (ROOT / path).exists()} == set()
    assert {f"{shown(room)}/" for room in ROOMS if room.name != "templates"} - named == set()
