"""The records of all shards of a run → one record, as a single run would have written it.

Nothing is believed: each shard is held against its seal, all of them against each other, and every answer against the
part that was to ask it. What differs, is missing, came twice or is not the shard's to answer is refused by name. The
same shards give the same record to the byte, so its run id is the same too, and nobody can compare it with itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError
from llmgate.record.disk import read_bytes, write_atomic
from llmgate.record.order import shard_cases
from llmgate.record.run.files import ARMS_GLOB, SERVING_GLOB
from llmgate.record.run.loading import load_record
from llmgate.record.run.rundir import RunDir, changes, held_to
from llmgate.record.weights import MANIFEST_NAME, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.manifest import JudgeIdentity, Manifest, ModelIdentity, Shard
    from llmgate.record.schema import CaseKey, Record

__all__ = ["check_shards", "merge_shards"]

EXTRAS: Final = 1
"""The number of the shard that tries judges on canaries and anchors: once is enough."""


def merge_shards(shards: Sequence[Record], out: Path, *, made_for: str = "") -> Record:
    """Write one sealed record of all shards of a run.

    Args:
        shards: As `check_shards` returned them.
        out: A folder that holds no run yet.
        made_for: What the whole is for, see `Manifest`.

    Raises:
        RecordError: If the folder holds a run or cannot be written.
    """
    first = shards[0]
    manifest = replace(merged_manifest(shards), made_for=made_for)
    with RunDir.create(out, manifest, first.cases) as run:
        for shard in shards:
            for key in own_keys(shard):
                run.append(shard.results[key])
        if first.trials:
            run.add_trials(first.trials)
        if first.anchors:
            run.add_anchors(first.anchors)
        keep_weights(shards, out)
        return run.seal(sealed_at=max(shard.seal.sealed_at for shard in shards if shard.seal))


def check_shards(folders: Sequence[Path]) -> list[Record]:
    """Load the shards of a run, in order, and see that they are its parts and all of them.

    Raises:
        RecordError: If a folder holds no sealed shard, or what it holds changed; if shards are of several runs: of
            another model, suite, policy, judge, or version of llmgate; if one is missing or there twice; if one has an
            answer that another was to give, or lacks one of its own; or if it measured what a shard does not.
    """
    if not folders:
        raise RecordError("no shard was named", fix="Name the folders of all shards of a run")
    shards = [load_shard(folder) for folder in folders]
    shards.sort(key=lambda shard: index_of(shard).index)
    check_numbers(shards)
    first = shards[0]
    for shard in shards[1:]:
        check_same(first, shard)
    for shard in shards:
        check_answers(shard)
    return shards


def load_shard(folder: Path) -> Record:
    """One shard.

    Raises:
        RecordError: If it is none, unfinished or damaged.
    """
    record = load_record(folder, shard=True)
    if record.manifest.shard is None:
        raise RecordError(
            "this is a whole run, and no shard of one",
            where=str(folder),
            fix="Name what `llmgate run --shard` wrote, or decide on it as it is",
        )
    return record


def index_of(record: Record) -> Shard:
    """Which part a record is."""
    if record.manifest.shard is None:
        raise RecordError("this is no shard", where=record.path)
    return record.manifest.shard


def own_keys(record: Record) -> list[CaseKey]:
    """The generations that a shard was to make, in order."""
    return [key for case in shard_cases(record.cases, record.manifest.shard) for key in case.keys]


def check_numbers(shards: Sequence[Record]) -> None:
    """Refuse parts of several partitions, parts that are there twice, and parts that are missing."""
    first, of = shards[0], index_of(shards[0]).of
    seen: dict[int, Record] = {}
    for record in shards:
        shard = index_of(record)
        if shard.of != of:
            raise RecordError(
                f"this is shard {shard.name}, and {first.path} is shard {index_of(first).name}",
                where=record.path,
                fix="Merge the shards of one run",
            )
        other = seen.setdefault(shard.index, record)
        if other is not record:
            raise RecordError(
                f"shard {shard.name} is there twice, also in {other.path}",
                where=record.path,
                fix="Name each shard once",
            )
    missing = [str(index) for index in range(1, of + 1) if index not in seen]
    if missing:
        shown = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        raise RecordError(
            f"of {of} shards {shown} {'is' if len(missing) == 1 else 'are'} missing",
            where=", ".join(record.path for record in shards[:3]),
            fix="Run what is missing, and name the folders of all shards",
        )


def check_same(first: Record, other: Record) -> None:
    """Refuse shards of which one asked somebody else, something else, or judged it otherwise.

    Raises:
        RecordError: With the field and both values.
    """
    changed = next(changes(shared(first.manifest), shared(other.manifest)), None)
    if changed:
        # `changes` tells of one run before and after; here are two.
        words = changed.replace(" was ", " is ", 1).replace(" and is now ", f" in {first.path}, and here ", 1)
        raise RecordError(
            f"the shards are not of one run: {words}", where=other.path, fix="Run the shard again as the others were"
        )


def shared(manifest: Manifest) -> dict[str, object]:
    """What all shards of a run have alike: what a resumed run has, and the version of llmgate.

    Where a model's weights are known they say which it is, wherever its folder lies; what an endpoint serves is known
    by its URL alone, unless the user gave it a label.
    """
    found = held_to(replace(manifest, shard=None))
    found["llmgate_version"] = manifest.llmgate_version
    found["model"] = anywhere(manifest.model, labelled=bool(manifest.server.deployment))
    found["judge"] = manifest.judge and judge_anywhere(manifest.judge)
    found["judges"] = {name: judge_anywhere(judge) for name, judge in manifest.judges.items()}
    return found


def anywhere(model: ModelIdentity, *, labelled: bool) -> ModelIdentity:
    """A model's identity, without its place if something else tells which it is."""
    return replace(model, source="") if model.weights_digest or labelled else model


def judge_anywhere(judge: JudgeIdentity) -> JudgeIdentity:
    """A judge's identity, without its place if its weights tell which it is."""
    return replace(judge, source="") if judge.weights_digest else judge


def check_answers(record: Record) -> None:
    """Refuse a shard that lacks an answer of its own, stopped early, or holds what no shard has.

    An answer that is another shard's was refused when it was loaded.
    """
    shard, where = index_of(record), record.path
    absent = [key for key in own_keys(record) if key not in record.results]
    if absent:
        raise RecordError(
            f"shard {shard.name} lacks {len(absent)} of its answers, the first is {absent[0]}",
            where=where,
            fix="Run the shard again",
        )
    if record.manifest.looks or (record.seal and record.seal.stops):
        raise RecordError(f"shard {shard.name} could stop early, and no part of a run can", where=where)
    if record.serving or record.arms:
        raise RecordError(
            f"shard {shard.name} holds serving measurements ({SERVING_GLOB}, {ARMS_GLOB}), which no shard takes",
            where=where,
            fix="Run the shard again with --no-bench, and measure serving in a run of its own",
        )
    if shard.index != EXTRAS and (record.trials or record.anchors):
        raise RecordError(
            f"shard {shard.name} tried its judge, which shard {EXTRAS} alone does",
            where=where,
            fix="Run the shard again",
        )


def merged_manifest(shards: Sequence[Record]) -> Manifest:
    """The manifest of the whole run: what all shards say, and of what may differ what the first one says."""
    first = shards[0].manifest
    runs = "\n".join(record.manifest.run_id for record in shards)
    began = min(record.manifest.created_at for record in shards)
    when = began[:19].replace("-", "").replace(":", "").replace("T", "-")
    return replace(
        first,
        run_id=f"{when}-{hashlib.sha256(runs.encode()).hexdigest()[:12]}",
        created_at=began,
        concurrency=sum(record.manifest.concurrency for record in shards),
        labels={**first.labels, "merged_from": ", ".join(record.manifest.run_id for record in shards)},
        shard=None,
    )


def keep_weights(shards: Sequence[Record], out: Path) -> None:
    """Keep what tells later which file of a model differs, where a shard has it and it is of this model."""
    for record in shards:
        path = Path(record.path) / MANIFEST_NAME
        if path.is_file():
            written = read_bytes(path, fix="Remove it")
            if read_manifest(written, where=str(path)).digest == record.manifest.model.weights_digest:
                write_atomic(out / MANIFEST_NAME, written)
                return
