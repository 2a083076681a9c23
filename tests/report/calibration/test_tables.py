"""The tables, the JSON and the drawings of a calibration: every figure is there, and no name can act."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from support.hostile import HOSTILE, MARKER

from llmgate.gate.calibration.results import (
    SIMULATED,
    Calibration,
    CalibrationRow,
    Cell,
    DecisionRule,
    ServingCalibrationRow,
    ServingRule,
    Truth,
)
from llmgate.report.calibration.page import calibration_page, drawings
from llmgate.report.calibration.tables import (
    CalibrationOrigin,
    calibration_json,
    calibration_lines,
    calibration_markdown,
    calibration_sentence,
    sheets,
)

ORIGIN = CalibrationOrigin(
    version="1.2.3",
    command="llmgate calibrate paired --seed 5",
    created_at="2026-01-02T03:04:05+00:00",
    data=(("quiz", "ab12"),),
)
LOSSES = {Truth.UNCHANGED: 0.0, Truth.TWO_POINTS: 0.02, Truth.MARGIN: 0.03, Truth.FIVE_POINTS: 0.05}


def cells(*rates: tuple[float, float], promised: float | None = None, worst: str | None = None) -> tuple[Cell, ...]:
    return tuple(
        Cell(
            truth=truth,
            loss=loss,
            runs=20_000,
            passed=round(20_000 * passed),
            failed=round(20_000 * failed),
            promised=promised if truth is Truth.UNCHANGED else None,
            worst=None if worst is None else (worst, 0.06),
        )
        for (truth, loss), (passed, failed) in zip(LOSSES.items(), rates, strict=True)
    )


RATES = ((0.907, 0.05), (0.256, 0.641), (0.049, 0.917), (0.0002, 0.9998))


def row(
    rule: DecisionRule = DecisionRule.GATE,
    source: str = SIMULATED,
    *,
    of: tuple[Cell, ...] = cells(*RATES, promised=0.91),
    comparisons: int = 0,
) -> CalibrationRow:
    return CalibrationRow(
        rule=rule,
        source=source,
        scores="right or wrong",
        pairs=1000,
        discordance=0.1,
        comparisons=comparisons,
        margin=0.03,
        alpha=0.05,
        cells=of,
    )


def real_loss(worst: str = "old / new") -> CalibrationRow:
    cell = Cell(truth=Truth.REAL_MARGIN, loss=0.04, runs=2000, passed=96, failed=1000, worst=(worst, 0.055))
    return row(source="quiz", of=(cell,), comparisons=3)


def found(*rows: CalibrationRow, notes: tuple[str, ...] = ()) -> Calibration:
    return Calibration(seed=5, repetitions=20_000, quick=False, margin=0.03, alpha=0.05, rows=rows, notes=notes)


LOWER = row(DecisionRule.MEAN_LOWER, of=cells((0.52, 0.48), (0.03, 0.97), (0.001, 0.999), (0.0, 1.0)))
ALL = found(row(), row(source="quiz", comparisons=3), real_loss(), LOWER, notes=("questions.jsonl: no system",))
BAD = found(row(of=cells(*RATES[:2], (0.081, 0.9), RATES[3])), LOWER)


def test_every_table_has_its_rows() -> None:
    tables = {sheet.id: sheet for sheet in sheets(ALL)}
    assert list(tables) == ["requirements", "simulated", "real", "losses", "others"]
    assert all(len(cells) == len(sheet.header) for sheet in tables.values() for cells in sheet.rows)
    assert tables["simulated"].header[3] == "PASS % at 0 / −2 / −3 / −5"
    assert tables["simulated"].rows == (
        ("llmgate", "1,000", "10 %", "90.7 / 25.6 / 4.9 / 0.0 (91)", "5.0 / 64.1 / 91.7 / 100.0", "all"),
    )
    assert tables["losses"].rows == (("quiz, right or wrong", "1,000", "3", "4.8", "5.5 % (old / new)"),)
    assert tables["others"].rows[0][0] == "block if the mean is lower"


def test_the_closest_figure_of_each_kind_is_shown() -> None:
    (table, *_) = sheets(BAD)
    kinds = {line[0]: line[1:6] for line in table.rows}
    assert kinds["a lost margin passes"] == ("1", "0", "8.10 %", "5 %", "0.62 %")
    assert kinds["an unchanged model fails"] == ("1", "1", "5.00 %", "5 %", "0.62 %")


def test_the_sentence_tells_what_is_shown() -> None:
    assert calibration_sentence(ALL) == "SHOWN: all 9 requirements are met."
    assert calibration_sentence(BAD) == "NOT SHOWN: 1 of 3 requirements are not met."
    assert calibration_sentence(found()) == "NOT SHOWN: nothing was measured of which anything is asked."


def test_the_terminal_names_what_is_not_met_and_ends_with_the_sentence() -> None:
    lines = calibration_lines(BAD)
    assert lines[-1] == (calibration_sentence(BAD), "bad")
    assert lines[-2][0].startswith("not met: a lost margin passes: 8.1 % is not at most 5 %")
    assert calibration_lines(ALL)[-1][1] == "good"
    assert ("left out: questions.jsonl: no system", "warn") in calibration_lines(ALL)


def test_json_holds_every_figure() -> None:
    document = json.loads(calibration_json(ALL, ORIGIN))
    assert document["format"] == "llmgate-calibration/1"
    assert (document["llmgate"], document["seed"], document["met"]) == ("1.2.3", 5, True)
    assert document["data"] == [{"name": "quiz", "sha256": "ab12"}]
    assert len(document["rows"]) == len(ALL.rows)
    first = document["rows"][0]["cells"][0]
    assert (first["truth"], first["passed"], first["pass_rate"], first["promised"]) == (
        "unchanged",
        18_140,
        0.907,
        0.91,
    )
    assert len(document["requirements"]) == len(ALL.requirements)


def test_markdown_tables_are_tables() -> None:
    text = calibration_markdown(ALL, ORIGIN)
    assert text.endswith("\n")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "- command: llmgate calibrate paired --seed 5" in text
    assert "- sha256 of quiz: ab12" in text


@pytest.mark.parametrize("attack", HOSTILE)
def test_names_of_others_cannot_act(attack: str) -> None:
    spoilt = found(row(), real_loss(HOSTILE[attack]), LOWER, notes=(HOSTILE[attack],))
    for text, _ in calibration_lines(spoilt):
        assert text.isprintable()
    markdown = calibration_markdown(spoilt, ORIGIN)
    assert not re.search(r"<(?!br)[a-z!/]|(?<!\\)\]\(|\n# (?!Calibration)", markdown)
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in block.splitlines()}) == 1
    assert json.loads(calibration_json(spoilt, ORIGIN))["notes"] == [HOSTILE[attack]]
    markdown.encode()
    page = calibration_page(spoilt, ORIGIN)
    page.encode()
    tags = {tag for tag, _ in Document(page).elements}
    assert not tags & {"script", "img", "iframe", "base"}
    assert f"<script>document.title='{MARKER}'" not in page


class Document(HTMLParser):
    """Elements, with their nesting checked."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.style = ""
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data


@pytest.mark.parametrize("calibration", [ALL, BAD, found()], ids=["shown", "not shown", "empty"])
def test_the_page_is_well_formed_and_loads_nothing(calibration: Calibration) -> None:
    source = calibration_page(calibration, ORIGIN)
    document = Document(source)
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in document.elements:
        assert not {"src", "srcset", "style"} & attributes.keys()
        target = attributes.get("href")
        assert target is None or target == "#requirements" or target[1:] in ids
    digest = base64.b64encode(hashlib.sha256(document.style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'" in source
    assert ('<h1 id="outcome">SHOWN</h1>' in source) is calibration.met


def test_drawings_show_rates_with_their_limit_and_promise() -> None:
    blocked, lost, promise, compared = drawings(ALL)
    assert [one.id for one in (blocked, lost, promise, compared)] == ["blocked", "lost", "promise", "compared"]
    for drawing in (blocked, lost):
        assert drawing.limit is not None
        for dot in drawing.dots:
            assert 0 <= dot.lower < dot.point < dot.upper <= 100
            assert dot.good
    assert blocked.dots[0].point == pytest.approx(blocked.limit, abs=0.01)
    assert [dot.promised is not None for dot in promise.dots] == [True, True]
    assert promise.limit is None
    assert [(dot.name, dot.good) for dot in compared.dots] == [
        ("llmgate", True), ("llmgate", True), ("block if the mean is lower", False), ("block if the mean is lower", False)
    ]  # fmt: skip


def test_what_is_not_met_is_drawn_as_such() -> None:
    drawn = {drawing.id: drawing for drawing in drawings(BAD)}
    assert [dot.state for dot in drawn["lost"].dots] == ["fail"]
    assert [dot.state for dot in drawn["blocked"].dots] == ["pass"]
    assert "promise" not in drawn
    assert drawings(found()) == ()


def served(**changes: Any) -> ServingCalibrationRow:
    rates = {
        Truth.FASTER: (0.97, 0.0, -0.05),
        Truth.UNCHANGED: (0.58, 0.047, 0.0),
        Truth.MARGIN: (0.05, 0.58, 0.05),
        Truth.SLOWER: (0.002, 0.91, 0.08),
    }
    of = tuple(
        Cell(truth=truth, loss=loss, runs=20_000, passed=round(20_000 * passed), failed=round(20_000 * failed))
        for truth, (passed, failed, loss) in rates.items()
    )
    fields: dict[str, Any] = {
        "rule": ServingRule.GATE, "noise": "a drift", "order": "drawn for each pair", "cv": 0.05, "pairs": 8,
        "margin": 0.05, "alpha": 0.05, "cells": of,
    }  # fmt: skip
    return ServingCalibrationRow(**(fields | changes))


SERVED = replace(
    ALL,
    serving=(
        served(),
        served(pairs=12),
        served(pairs=7, sized=True),
        served(pairs=7, sized=True, asked=False, rule=ServingRule.MANN_WHITNEY),
        served(order="A B B A …", asked=False),
    ),
)


def test_serving_has_tables_of_its_own() -> None:
    tables = {sheet.id: sheet for sheet in sheets(SERVED)}
    assert list(tables)[-3:] == ["serving", "serving-pairs", "serving-order"]
    assert all(len(cells) == len(sheet.header) for sheet in tables.values() for cells in sheet.rows)
    rates = ("4.7 / 4.7", "5.0 / 5.0", "58 / 58", "91 / 91")
    assert tables["serving"].rows == (("a drift", "5 %", "8 / 12", *rates),)
    assert tables["serving"].lead.startswith("Margin 5 %, 5 % per side, 20,000 measurements per figure.")
    assert "which arm goes first is drawn for each pair" in tables["serving"].lead
    assert tables["serving"].lead.endswith("One that is 8 % slower passed in at most 0.2 % of any row.")
    assert [line[:3] for line in tables["serving-pairs"].rows] == [
        ("llmgate", "5 %", "7"),
        ("Mann-Whitney over all requests", "5 %", "7"),
    ]
    # Beside the other order stands the gate's own, on the same noise and size.
    assert tables["serving-order"].rows == (
        ("drawn for each pair", "a drift", "5 %", "8", "4.7", "5.0"),
        ("A B B A …", "a drift", "5 %", "8", "4.7", "5.0"),
    )
    assert calibration_sentence(SERVED) == "SHOWN: all 18 requirements are met."


def test_serving_is_promised_drawn_and_told_to_programs() -> None:
    promised = served(pairs=7, sized=True)
    cells = tuple(replace(cell, promised=0.864) if cell.truth is Truth.SLOWER else cell for cell in promised.cells)
    found = replace(SERVED, serving=(*SERVED.serving, replace(promised, cells=cells)))
    pairs = next(sheet for sheet in sheets(found) if sheet.id == "serving-pairs")
    assert pairs.rows[-1][-1] == "0.0 / 4.7 / 58.0 / 91.0 (86)"
    drawn = {drawing.id: drawing for drawing in drawings(SERVED)}
    assert [dot.name for dot in drawn["serving-blocked"].dots] == ["a drift"]
    assert drawn["serving-lost"].dots[0].text == "5.0 %"
    assert all(dot.good for dot in drawn["serving-lost"].dots)
    assert not {"serving-blocked", "serving-lost"} & {drawing.id for drawing in drawings(ALL)}
    document = json.loads(calibration_json(SERVED, ORIGIN))
    assert [row["rule"] for row in document["serving"]].count("llmgate") == 4
    assert (
        document["serving"][0]["cells"][1] | {"pass_rate": 0.58, "truth": "unchanged"}
        == document["serving"][0]["cells"][1]
    )
    assert "highest rate of lost margins that pass" in calibration_page(SERVED, ORIGIN)
