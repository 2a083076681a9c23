"""Bombs: files that are small, or take milliseconds to make, and stand for gigabytes or hours.

Run as a script in a folder, it makes every bomb, lights each in a process of its own that has little memory and little
time, and prints one line of JSON for each.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import io
import json
import os
import resource
import signal
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["BOMBS", "Bomb"]

SPACE_MB: Final = int(os.environ.get("BOMBS_MB", "1500"))
"""Address space of a process: libraries map far more than they touch, and what they touch is measured."""
CPU_S: Final = int(os.environ.get("BOMBS_S", "8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bomb:
    """A file and who reads it.

    Attributes:
        make: Writes it into an empty folder and returns its path.
        light: Reads it.
        says: What the error says.
    """

    make: Callable[[Path], Path]
    light: Callable[[Path], object]
    says: str


def dataset(path: Path) -> None:
    """Lock a dataset."""
    from llmgate.suite.data.dataset import write_lock

    write_lock(path)


def results(path: Path, kind: str | None = None) -> None:
    """Read results of another harness."""
    from llmgate.record.results.load import load_results

    load_results(path, kind=kind)


def paired(path: Path) -> None:
    """Read results of many systems."""
    from llmgate.record.results.paired import load_paired

    load_paired(path)


def suite(path: Path) -> None:
    """Read a suite."""
    from llmgate.score.vocabulary import VOCABULARY
    from llmgate.suite.spec import load_suite

    load_suite(path, VOCABULARY)


def imported(tool: str) -> Callable[[Path], None]:
    """Import a suite of another tool, and write it."""

    def light(path: Path) -> None:
        from llmgate.session.commands.import_suites import import_suites

        import_suites(tool, path, path.parent / "out")

    return light


promptfoo = imported("promptfoo")


def text(name: str, content: Callable[[], str | bytes]) -> Callable[[Path], Path]:
    """A file with some content."""

    def make(folder: Path) -> Path:
        path = folder / name
        given = content()
        path.write_bytes(given.encode() if isinstance(given, str) else given)
        return path

    return make


def table(columns: Callable[[], dict[str, Any]], **options: Any) -> Callable[[Path], Path]:
    """A Parquet file."""

    def make(folder: Path) -> Path:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table(columns()), folder / "rows.parquet", write_statistics=False, **options)
        return folder / "rows.parquet"

    return make


def sparse(name: str, size: int, start: bytes = b"") -> Callable[[Path], Path]:
    """A file that claims a size."""

    def make(folder: Path) -> Path:
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)
        return folder / name

    return make


def link(name: str, to: str) -> Callable[[Path], Path]:
    """A file that is another one."""

    def make(folder: Path) -> Path:
        (folder / name).symlink_to(to)
        return folder / name

    return make


def fifo(name: str) -> Callable[[Path], Path]:
    """A file that never begins."""

    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


def repeated(count: int) -> Any:
    """A column of one long text, stored once."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * 1_000_000]))


def nested(count: int) -> Any:
    """One list of one long text, stored once."""
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), repeated(count))


def zeros(count: int) -> Any:
    """One list of many zeros."""
    import numpy as np
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.array(np.zeros(count, np.int8)))


def counted(count: int) -> Any:
    """Numbers, which take no room once they are packed."""
    import numpy as np

    return np.arange(count)


def gzipped(piece: bytes, members: int) -> bytes:
    """A megabyte of something, many times: each member of the file is the same, so it takes no time to make."""
    return gzip.compress(piece * (1_000_000 // len(piece)), compresslevel=9, mtime=0) * members


def gzipped_json(begin: bytes, piece: bytes, pieces: int, end: bytes) -> bytes:
    """JSON with many of a piece."""
    middle = gzip.compress(piece * (pieces // 100), compresslevel=9, mtime=0) * 100
    return gzip.compress(begin, mtime=0) + middle + gzip.compress(end, mtime=0)


def archive(size: int) -> bytes:
    """A log of Inspect with one sample that is packed well."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.writestr("header.json", '{"status": "success", "eval": {}}')
        with packed.open("samples/1_epoch_1.json", "w", force_zip64=True) as sample:
            sample.write(b'{"id": 1, "scores": {"s": {"value": 1}}, "metadata": {"x": "')
            for _ in range(size // 1_000_000):
                sample.write(b"x" * 1_000_000)
            sample.write(b'"}}')
    return file.getvalue()


def config(**parts: Any) -> Callable[[Path], Path]:
    """A configuration of promptfoo, in JSON."""
    return text("promptfooconfig.json", lambda: json.dumps({"prompts": ["{{ q }}"], **parts}))


def laughs(levels: int) -> str:
    """Anchors that stand for ten times themselves."""
    lines = ['a0: &a0 ["ha"]']
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


def merges(levels: int) -> str:
    """Merge keys of merge keys, each of ten mappings."""
    lines = ["m0: &m0 {a: 1, b: 2}"]
    lines += [f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}], k{i}: 1}}" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


def samples(folder: Path) -> Path:
    """Samples of one expected text each, but for one of them."""
    lines = [
        json.dumps({"input": [{"role": "user", "content": str(i)}], "ideal": ["a"] * (1 if i else 10_000)}) + "\n"
        for i in range(10_000)
    ]
    (folder / "s.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "e.yaml").write_text(
        "e.dev.v0: {class: 'evals.elsuite.basic.match:Match', args: {samples_jsonl: s.jsonl}}\n", encoding="utf-8"
    )
    return folder / "e.yaml"


SUITE: Final = "llmgate: 1\nsuite: s\nversion: '1'\ndataset: d.jsonl\nprompt: [{role: user, content: hi}]\n"
ONE: Final = [{"vars": {"q": "x"}, "assert": [{"type": "contains", "value": "x"}]}]
LISTS: Final = {f"v{i}": [f"{j}" for j in range(10)] for i in range(5)}
DEEP: Final = 100_000

BOMBS: Final[dict[str, Bomb]] = {
    # Parquet
    "parquet: one text of 1 MB in 2,100 rows": Bomb(
        make=table(lambda: {"id": counted(2_100), "t": repeated(2_100)}, compression="zstd"),
        light=dataset,
        says="grows to more than",
    ),
    "parquet: the same as scores": Bomb(
        make=table(lambda: {"item_id": repeated(2_100), "score": counted(2_100) % 2}, compression="zstd"),
        light=results,
        says="grows to more than",
    ),
    "parquet: one text 2,100 times in a list": Bomb(
        make=table(lambda: {"id": [1], "t": nested(2_100)}, compression="zstd"),
        light=dataset,
        says="grows to more than",
    ),
    "parquet: 6 million zeros in a list": Bomb(
        make=table(lambda: {"id": [1], "t": zeros(6_000_000)}, compression="zstd"),
        light=dataset,
        says="grows to more than",
    ),
    "parquet: a page of 260 MB": Bomb(
        make=table(lambda: {"id": [1], "t": ["x" * 260_000_000]}, compression="zstd", use_dictionary=False),
        light=dataset,
        says="grows to more than",
    ),
    "parquet: a million numbers in 3 KB": Bomb(
        make=table(
            lambda: {"id": counted(1_000_000)},
            compression="zstd",
            use_dictionary=False,
            column_encoding={"id": "DELTA_BINARY_PACKED"},
        ),
        light=dataset,
        says="grows to more than",
    ),
    "parquet: ten million numbers": Bomb(
        make=table(
            lambda: {"id": counted(10_000_000)},
            compression="zstd",
            use_dictionary=False,
            column_encoding={"id": "DELTA_BINARY_PACKED"},
        ),
        light=dataset,
        says="has 10000000 rows, more than 2000000",
    ),
    "parquet: 11,000 columns": Bomb(
        make=table(lambda: {f"c{i}": [1] for i in range(11_000)}),
        light=dataset,
        says="columns",
    ),
    # gzip and zip
    "gzip: 2 GB of one line": Bomb(
        make=text("r.jsonl.gz", lambda: gzipped(b"0", 2_000)),
        light=results,
        says="grows to more than",
    ),
    "gzip: 7 GB of lines": Bomb(
        make=text("r.jsonl.gz", lambda: gzipped(b'{"item_id": "1", "score": 1}\n', 7_200)),
        light=results,
        says="",
    ),
    "gzip: 2 GB of line ends": Bomb(
        make=text("r.jsonl.gz", lambda: gzipped(b"\n", 2_000)),
        light=results,
        says="grows to more than",
    ),
    "gzip: 2 GB for many systems": Bomb(
        make=text("r.jsonl.gz", lambda: gzipped(b"\n", 2_000)),
        light=paired,
        says="grows to more than",
    ),
    "gzip: line ends that fit": Bomb(
        make=text("r.jsonl.gz", lambda: gzipped(b"\n", 200)),
        light=results,
        says="times its size",
    ),
    "gzip: CSV that fits": Bomb(
        make=text("r.csv.gz", lambda: gzip.compress(b"item_id,score\n") + gzipped(b"\n", 200)),
        light=results,
        says="times its size",
    ),
    "gzip: empty lists": Bomb(
        make=text("r.json.gz", lambda: gzipped_json(b'{"results": [', b"[],", 60_000_000, b"[]]}")),
        light=results,
        says="grows to more than",
    ),
    "zip: a sample of 300 MB in a log": Bomb(
        make=text("log.eval", lambda: archive(300_000_000)),
        light=results,
        says="grows to more than",
    ),
    "zip: the same as a suite": Bomb(
        make=text("log.eval", lambda: archive(300_000_000)),
        light=imported("inspect"),
        says="grows to more than",
    ),
    # No regular file
    **{
        f"{what}: {kind}": Bomb(make=make, light=light, says="no regular file")
        for kind, light, name in (
            ("dataset", dataset, "d.jsonl"),
            ("table", dataset, "d.parquet"),
            ("suite", suite, "s.yaml"),
            ("results", results, "r.jsonl"),
            ("promptfoo", promptfoo, "promptfooconfig.yaml"),
            ("deepeval", imported("deepeval"), "g.json"),
            ("openai-evals", imported("openai-evals"), "e.yaml"),
        )
        for what, make in (("zero device", link(name, "/dev/zero")), ("FIFO", fifo(name)))
    },
    "2 GB without a line end": Bomb(
        make=sparse("d.jsonl", 2_000_000_000, b'{"id": "'),
        light=dataset,
        says="a line has more than",
    ),
    "2 GB without a line end: CSV": Bomb(
        make=sparse("d.csv", 2_000_000_000, b"id,x\n1,"),
        light=dataset,
        says="a line has more than",
    ),
    "2 GB without a line end: results": Bomb(
        make=sparse("r.jsonl", 2_000_000_000, b'{"item_id": "'),
        light=results,
        says="",
    ),
    "ten million rows": Bomb(
        make=text("d.jsonl", lambda: b'{"id":1}\n' * 10_000_000),
        light=dataset,
        says="has 10000000 rows, more than 2000000",
    ),
    "ten million rows: CSV": Bomb(
        make=text("d.csv", lambda: b"id\n" + b"1\n" * 10_000_000),
        light=dataset,
        says="rows, more than 2000000",
    ),
    "a million columns": Bomb(
        make=text("d.csv", lambda: ",".join(map(str, range(1_000_000))) + "\n1\n"),
        light=dataset,
        says="cells",
    ),
    "a million columns: results": Bomb(
        make=text("r.csv", lambda: ",".join(map(str, range(1_000_000))) + "\n1\n"),
        light=results,
        says="unknown key",
    ),
    "two of a million columns alike": Bomb(
        make=text("r.csv", lambda: ",".join(map(str, range(400_000))) + ",399999\n1\n"),
        light=results,
        says="is named twice",
    ),
    "two of a million keys alike": Bomb(
        make=text("r.json", lambda: "{" + "".join(f'"{i}":0,' for i in range(200_000)) + '"199999":0}'),
        light=lambda path: results(path, kind="promptfoo"),
        says="stands twice",
    ),
    # Numbers
    "400,000 digits in a suite": Bomb(
        make=text("s.yaml", lambda: f"{SUITE}repeat: {'9' * 400_000}\n"),
        light=suite,
        says="is no ",
    ),
    "base 60 in a suite": Bomb(
        make=text("s.yaml", lambda: f"{SUITE}repeat: {':'.join(['1'] * 300_000)}\n"),
        light=suite,
        says="is no ",
    ),
    "base 60 with a fraction in a suite": Bomb(
        make=text("s.yaml", lambda: f"{SUITE}repeat: {':'.join(['1'] * 300_000)}.5\n"),
        light=suite,
        says="is no ",
    ),
    "hexadecimal in a suite": Bomb(
        make=text("s.yaml", lambda: f"{SUITE}repeat: 0x{'f' * 400_000}\n"),
        light=suite,
        says="is no ",
    ),
    "a tag that lies in a suite": Bomb(
        make=text("s.yaml", lambda: f"{SUITE}repeat: !!int x\n"),
        light=suite,
        says="is no",
    ),
    "a tag that lies about yes in a suite": Bomb(
        make=text("s.yaml", lambda: f"{SUITE}repeat: !!bool x\n"),
        light=suite,
        says="is no",
    ),
    "400,000 digits in promptfoo": Bomb(
        make=text("promptfooconfig.yaml", lambda: f"prompts: [a]\nrepeat: {'9' * 400_000}\n"),
        light=promptfoo,
        says="is no ",
    ),
    "laughs in messages of promptfoo": Bomb(
        make=config(
            prompts=[
                "- role: user\n  content: &a [x,x,x,x,x,x,x,x,x,x]\n"
                + "".join(f"- role: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9))
            ],
            tests=ONE,
        ),
        light=promptfoo,
        says="too large or too deep",
    ),
    "400,000 digits in a dataset": Bomb(
        make=text("d.jsonl", lambda: f'{{"id": {"9" * 400_000}}}\n'),
        light=dataset,
        says="a number is too long",
    ),
    "400,000 digits in results": Bomb(
        make=text("r.jsonl", lambda: f'{{"item_id": "1", "score": {"9" * 400_000}}}\n'),
        light=results,
        says="not JSON",
    ),
    "400 digits in results": Bomb(
        make=text("r.jsonl", lambda: f'{{"item_id": "1", "score": {"9" * 400}}}\n'),
        light=results,
        says="[0, 1]",
    ),
    "400 digits in results: CSV": Bomb(
        make=text("r.csv", lambda: f"item_id,score\n1,{'9' * 400}\n"),
        light=results,
        says="[0, 1]",
    ),
    "1e400 in results": Bomb(
        make=text("r.jsonl", lambda: '{"item_id": "1", "score": 1e400}\n'),
        light=results,
        says="[0, 1]",
    ),
    # Nesting
    "deep JSON: dataset": Bomb(
        make=text("d.jsonl", lambda: '{"id": 1, "x": ' + "[" * DEEP + "]" * DEEP + "}\n"),
        light=dataset,
        says="nested",
    ),
    "deep JSON: results": Bomb(
        make=text("r.json", lambda: "[" * DEEP + "]" * DEEP),
        light=results,
        says="",
    ),
    "fairly deep JSON: promptfoo": Bomb(
        make=text("promptfooconfig.json", lambda: '{"prompts": ' + "[" * 900 + "]" * 900 + "}"),
        light=promptfoo,
        says="",
    ),
    "deep YAML: suite": Bomb(
        make=text("s.yaml", lambda: SUITE + "x: " + "[" * DEEP + "]" * DEEP + "\n"),
        light=suite,
        says="nested",
    ),
    "deep YAML: promptfoo": Bomb(
        make=text("promptfooconfig.yaml", lambda: "x: " + "[" * DEEP + "]" * DEEP + "\n"),
        light=promptfoo,
        says="nested",
    ),
    "laughs: suite": Bomb(make=text("s.yaml", lambda: SUITE + laughs(10)), light=suite, says="too large or too deep"),
    "laughs: promptfoo": Bomb(
        make=text("promptfooconfig.yaml", lambda: laughs(10)),
        light=promptfoo,
        says="too large or too deep",
    ),
    "merge keys: promptfoo": Bomb(
        make=text("promptfooconfig.yaml", lambda: merges(1_000)),
        light=promptfoo,
        says="too large or too deep",
    ),
    "many small parts: suite": Bomb(
        make=text("s.yaml", lambda: SUITE + "x: [" + "1," * 450_000 + "1]\n"),
        light=suite,
        says="too large or too deep",
    ),
    "many small parts: promptfoo": Bomb(
        make=text("promptfooconfig.yaml", lambda: "x: [" + "1," * 5_000_000 + "1]\n"),
        light=promptfoo,
        says="too large or too deep",
    ),
    "many small parts in JSON: promptfoo": Bomb(
        make=text("promptfooconfig.json", lambda: '{"prompts": [' + "[]," * 20_000_000 + "[]]}"),
        light=promptfoo,
        says="grows to more than",
    ),
    # promptfoo multiplies
    "200 tests with 5 lists of 10": Bomb(
        make=config(tests=[{"vars": {"q": str(i), **LISTS}, "assert": ONE[0]["assert"]} for i in range(200)]),
        light=promptfoo,
        says="more than 150000",
    ),
    "defaults of 1 MB for 5,000 tests": Bomb(
        make=config(defaultTest={"vars": {"x": "x" * 1_000_000}}, tests=ONE * 5_000),
        light=promptfoo,
        says="grows to more than",
    ),
    "defaults of many parts for 5,000 tests": Bomb(
        make=config(defaultTest={"vars": {"x": {str(i): i for i in range(20_000)}}}, tests=ONE * 5_000),
        light=promptfoo,
        says="grows to more than",
    ),
    "defaults with 2,000 asserts for 5,000 tests": Bomb(
        make=config(
            defaultTest={"assert": [{"type": "contains", "value": str(i)} for i in range(2_000)]}, tests=ONE * 5_000
        ),
        light=promptfoo,
        says="grows to more than",
    ),
    "5,000 scenarios with 5,000 tests": Bomb(
        make=config(scenarios=[{"config": ONE * 5_000, "tests": ONE * 5_000}]),
        light=promptfoo,
        says="more than 150000",
    ),
    "300 prompts with 20,000 tests": Bomb(
        make=config(prompts=[f"{{{{ q }}}} {i}" for i in range(300)], tests=ONE * 20_000),
        light=promptfoo,
        says="more than 150000",
    ),
    "a metadata of 1 MB with 3,000 combinations": Bomb(
        make=config(tests=[{**ONE[0], "metadata": {"m": "x" * 1_000_000}, "vars": {"q": ["x"] * 3_000}}]),
        light=promptfoo,
        says="grows to more than",
    ),
    "columns of their own for 10,000 tests": Bomb(
        make=config(tests=[{**ONE[0], "vars": {"q": "x", f"v{i}": "1"}} for i in range(10_000)]),
        light=promptfoo,
        says="grows to more than",
    ),
    "references that multiply": Bomb(
        make=config(
            tests=[{"$ref": "#/a9"}],
            **{f"a{i}": [{"$ref": f"#/a{i - 1}"}] * 10 if i else ["x"] * 10 for i in range(10)},
        ),
        light=promptfoo,
        says="references make",
    ),
    "expected texts of 10,000 samples": Bomb(
        make=samples,
        light=imported("openai-evals"),
        says="grows to more than",
    ),
}


READERS: Final = (
    "llmgate.score.vocabulary",
    "llmgate.session.commands.import_suites",
    "llmgate.suite.spec",
    "llmgate.record.results.paired",
    "llmgate.suite.data.dataset",
    "pyarrow.parquet",
)
"""Imported once, so that processes begin with them."""


def in_child(work: Callable[[], None]) -> tuple[int, resource.struct_rusage]:
    """Do something in a process of its own, and return what it took."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.wait4(child, 0)[1:]


def lit(bomb: Bomb, path: Path, said: Path) -> Callable[[], None]:
    """Reads a bomb, and writes down what came of it."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (SPACE_MB << 20, SPACE_MB << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(4 * CPU_S)
        try:
            bomb.light(path)
            ending = ("nothing", "")
        except BaseException as error:  # noqa: BLE001 - whatever comes is what is looked at
            ending = (type(error).__name__, str(error))
        said.write_text(json.dumps(ending), encoding="utf-8")

    return work


def write(bomb: Bomb, place: Path, note: Path) -> None:
    """Make a bomb, and write down where."""
    note.write_text(str(bomb.make(place)), encoding="utf-8")


def main(folder: Path, names: list[str]) -> None:
    """Light all bombs, or those whose names have one of these words in them."""
    for module in READERS:
        importlib.import_module(module)
    for number, (name, bomb) in enumerate(BOMBS.items()):
        if names and not any(word in name for word in names):
            continue
        place = folder / str(number)
        place.mkdir()
        note, said = folder / f"{number}.path", folder / f"{number}.said"
        made = in_child(functools.partial(write, bomb, place, note))[1]
        path = Path(note.read_text(encoding="utf-8"))
        status, used = in_child(lit(bomb, path, said))
        error, message = json.loads(said.read_text(encoding="utf-8")) if said.exists() else (f"status {status}", "")
        blast = {"name": name, "error": error, "message": message[:400], "length": len(message)}
        blast |= {"seconds": round(used.ru_utime + used.ru_stime, 2), "peak_mb": round(used.ru_maxrss / 1024)}
        blast["made_s"] = round(made.ru_utime + made.ru_stime, 2)
        sys.stdout.write(json.dumps(blast) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
