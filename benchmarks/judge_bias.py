"""What real judges may be off by between two systems, by people's labels: the bounds of an admission.

    python benchmarks/judge_bias.py DIR

DIR holds `paired/` and `judge/` (openqa-nq301, evouna-nq, pandalm, arena-votes). For each judge: how many systems and
labelled answers, the pair with the largest bound as people and as the judge see it, and the bound, at 5 % for all pairs
together. Above: 18.0 points for a matcher of strings, 16.4 for GPT-4 over twelve systems, 3.2 over two alike.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

from llmgate.gate.judges.bias import measure_bias
from llmgate.record.judges.admission import LabelledItem

WORDS = {0: "fail", 1: "pass"}
READERS = frozenset({"ance-plus_fid", "contriever_fid", "fid", "fid-kd", "gar-plus_fid", "rocketv2_fid"})
TWO = frozenset({"ance-plus_fid", "fid"})

Rated = list[tuple[LabelledItem, str]]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """JSON lines, packed or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode().splitlines()]


def answers(rows: list[dict[str, Any]], judge: str) -> Rated:
    """Single answers; `person` is the first of the people who labelled them."""
    rated = []
    for row in rows:
        said = row["annotators"][0] if judge == "person" else row[judge]
        item = LabelledItem(
            item=f"{row['item_id']} {row['system']}",
            votes=(WORDS[row["score"]],),
            said=None if said is None else WORDS[int(said)],
            systems=(row["system"],),
            case=row["item_id"],
        )
        rated.append((item, WORDS[row["score"]]))
    return rated


def pairs(rows: list[dict[str, Any]], judge: str) -> Rated:
    """Pairs of answers of PandaLM or of the arena."""
    rated = []
    for row in rows:
        if "majority" in row:
            word: dict[Any, str | None] = {1: "1", 2: "2", 0: "tie", None: None}
            systems, human = (row["system_1"], row["system_2"]), row["majority"]
        else:
            word = {row["model_a"]: "1", row["model_b"]: "2", None: None}
            systems, human = (row["model_a"], row["model_b"]), row["human_winner"]
        label, said = word[human], word[row[judge]]
        cluster = row["cluster"] if "majority" in row else None
        item = LabelledItem(
            item=row["item_id"], votes=(label,), said=said, orders=(said, said), systems=systems, cluster=cluster
        )
        rated.append((item, str(label)))
    return rated


def show(name: str, rated: Rated) -> None:
    """A line."""
    bias = measure_bias(rated, alpha=0.05)
    if bias.worst is None or bias.difference is None:
        print(f"{name:<34}{len(rated):>7}  {bias.unknown}")
        return
    systems = len({system for item, _ in rated for system in item.systems})
    seen = f"people {100 * bias.worst.people:+.1f}, judge {100 * bias.worst.judge:+.1f}"
    print(
        f"{name:<34}{systems:>3} systems{len(rated):>7}  off by at most {100 * bias.difference:5.1f}"
        f"  ({' → '.join(bias.worst.systems)}: {seen})"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with paired/ and judge/")
    folder = parser.parse_args().folder
    if not (folder / "paired").is_dir():
        parser.error(f"{folder}: no folder paired in it")
    matched = rows_of(folder / "paired" / "evouna-nq.jsonl.gz")
    show("matcher of strings", answers(matched, "auto_contains"))
    openqa = rows_of(folder / "paired" / "openqa-nq301.jsonl")
    for judge in ("judge_gpt4", "judge_davinci003", "judge_bem", "person"):
        rows = [row for row in openqa if row["annotators"]]
        show(judge, answers(rows, judge))
        show(f"{judge}, readers", answers([row for row in rows if row["system"] in READERS], judge))
        show(f"{judge}, two of them", answers([row for row in rows if row["system"] in TWO], judge))
    for judge in ("judge_gpt35", "judge_pandalm7b"):
        show(judge, pairs(rows_of(folder / "judge" / "pandalm.jsonl"), judge))
    for judge in ("judge_gpt4omini", "judge_gpt52"):
        show(judge, pairs(rows_of(folder / "judge" / "arena-votes.jsonl"), judge))


if __name__ == "__main__":
    main()
