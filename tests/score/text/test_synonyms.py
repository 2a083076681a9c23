"""The file of synonyms: what its marks mean, and how it is made from a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import wordnet

from llmgate.score.text.synonyms import load_synonyms, read_groups

if TYPE_CHECKING:
    from pathlib import Path


def test_marks_say_who_finds_whom() -> None:
    synonyms = read_groups(["car auto", "car railcar", "english ^britain", "leav ~desert"])
    assert synonyms["car"] == {"auto", "railcar"}
    assert synonyms["auto"] == {"car"}
    assert synonyms["britain"] == {"english"}
    assert synonyms["english"] == frozenset()
    assert synonyms["leav"] == {"desert"}
    assert "desert" not in synonyms


def test_the_file_holds_wordnet_as_natural_finds_it() -> None:
    synonyms = load_synonyms()
    assert {"auto", "machine", "railcar"} <= synonyms["car"]
    # natural does not come upon the verb in its index, so `desert` is no synonym.
    assert "desert" not in synonyms["abandon"]
    assert not any("_" in word for word in synonyms)


def test_the_file_is_made_from_a_database(tmp_path: Path) -> None:
    header = "  1 A licence\n"
    data = {
        "noun": "00000012 06 n 02 car 0 auto 0 000 | wheels\n00000048 06 n 02 Paris 0 paree 0 000 | city\n"
        "00000090 06 n 02 sofa_bed 0 davenport 0 000 | to sit\n",
        "verb": "",
        "adj": "00000012 00 s 02 big(a) 0 larg 0 000 | size\n",
        "adv": "",
    }
    index = {
        "noun": "auto n 1 0 1 0 00000012  \ncar n 1 0 1 0 00000012  \nparee n 1 0 1 0 00000048  \n"
        "paris n 1 0 1 0 00000048  \n",
        "verb": "",
        "adj": "big a 1 1 & 1 0 00000012  \nlarg a 1 1 & 1 0 00000012  \n",
        "adv": "",
    }
    for part in wordnet.PARTS:
        (tmp_path / f"data.{part}").write_text(header + data[part], encoding="utf-8")
        (tmp_path / f"index.{part}").write_text(header + index[part], encoding="utf-8")
    assert wordnet.groups(tmp_path) == ["auto car", "larg ^big", "paree ^paris"]
