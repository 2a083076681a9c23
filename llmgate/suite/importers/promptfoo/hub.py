"""promptfoo's tests from a dataset on the Hugging Face hub: a suite that names the dataset, which is not fetched.

promptfoo asks the hub's server for rows, which reads the files that the hub converts every dataset to: Parquet, on the
branch `refs/convert/parquet`, as CONFIG/SPLIT/0000.parquet. Our suites want a commit of that branch, and a column that
identifies rows; both are for the user to say, since an import asks nobody.
Form: https://www.promptfoo.dev/docs/configuration/huggingface-datasets/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from llmgate.suite.importers.promptfoo.framing import entries_of
from llmgate.suite.importers.promptfoo.prompts import HUB, is_hub
from llmgate.suite.importers.table import slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.files import ForeignFile
    from llmgate.suite.importers.promptfoo.prompts import PromptfooPrompt
    from llmgate.suite.importers.result import ImportedSuite, Notebook

__all__ = ["HubTests", "hub_suites", "hub_tests"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,95}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubTests:
    """Tests from a dataset on the hub.

    Attributes:
        owner: Whose it is.
        name: Its name.
        config: Which of its subsets.
        split: Which split.
        limit: How many rows from its start, None for all.
        where: Where it is named.
    """

    owner: str
    name: str
    config: str
    split: str
    limit: str | None
    where: str

    @property
    def uri(self) -> str:
        """The dataset as a suite names it, but for the commit."""
        return f"hf://datasets/{self.owner}/{self.name}/{self.config}/{self.split}/0000.parquet@COMMIT"


def hub_tests(source: ForeignFile, notes: Notebook) -> list[HubTests]:
    """The datasets on the hub that `tests:` names; notes what is none."""
    written = source.data.get("tests")
    found = []
    for i, item in enumerate(written if isinstance(written, list) else [written]):
        if isinstance(item, str) and is_hub(item):
            where = source.where("tests", i)
            parsed = parse_hub(item, where)
            if parsed is None:
                notes.lost(f"the tests of {item[:120]}, which is no dataset on the hub", where)
            else:
                found.append(parsed)
    return found


def parse_hub(written: str, where: str) -> HubTests | None:
    """A dataset on the hub with what its query says; None if it is none."""
    path, _, query = written.removeprefix(HUB).partition("?")
    said = {"split": "test", "config": "default", **dict(parse_qsl(query))}
    names = path.split("/")
    if len(names) < 2 or not all(map(_NAME.fullmatch, names[:2])):
        return None
    if not _PART.fullmatch(said["config"]) or not _PART.fullmatch(said["split"]):
        return None
    return HubTests(
        owner=names[0],
        name=names[1],
        config=said["config"],
        split=said["split"],
        limit=said.get("limit"),
        where=where,
    )


def hub_suites(
    tests: Sequence[HubTests],
    prompts: Sequence[PromptfooPrompt],
    base: ImportedSuite,
    *,
    default: tuple[Mapping[str, Any], Mapping[str, Any]],
    checks: Callable[[Mapping[str, Json], Notebook], Sequence[Mapping[str, Json]]],
    notes: Notebook,
) -> Iterator[ImportedSuite]:
    """A suite per dataset and prompt; it names its dataset and has no rows.

    Args:
        tests: The datasets.
        prompts: The prompts.
        base: What all suites have.
        default: Variables and options that `defaultTest` gives them.
        checks: The asserts for a row whose columns are texts.
        notes: What is lost, and what a user has to fill in.
    """
    variables, options = default
    affixes = {key for key in ("prefix", "suffix") if options.get(key)}
    for one in tests:
        for prompt in prompts:
            entries = entries_of(prompt)
            used = sorted(prompt.names & set(variables))
            if entries is None or used or affixes:
                why = "cannot be asked of rows that are not here"
                if used or affixes:
                    why = f"uses {', '.join([*used, *sorted(affixes)])} of `defaultTest`, which rows elsewhere lack"
                notes.lost(f"the tests of {one.owner}/{one.name}: the prompt {prompt.label[:60]!r} {why}", one.where)
                continue
            own = notes.another()
            asserts = checks(dict.fromkeys(sorted(prompt.names), "text"), own)
            say(one, own)
            if not asserts:
                own.remark("nothing is checked yet: answers are recorded and compared, and gate nothing", one.where)
            name = slug(f"{one.name}-{one.config}-{one.split}", limit=40)
            several = f"-{slug(prompt.label, limit=15)}" if len(prompts) > 1 else ""
            yield replace(
                base,
                name=f"{base.name[:30]}-{name}{several}",
                prompt=tuple(entries),
                asserts=tuple(asserts),
                dataset=one.uri,
                notes=own.notes,
            )


def say(one: HubTests, notes: Notebook) -> None:
    """Note what a user fills in, and what differs."""
    notes.remark(
        f"the dataset {one.owner}/{one.name} is named, not fetched: put a commit in the place of COMMIT, as `git "
        f"ls-remote https://huggingface.co/datasets/{one.owner}/{one.name} refs/convert/parquet` shows it, and the "
        "column that identifies rows into `case: {id: …}`",
        one.where,
    )
    if one.limit:
        notes.setting(f"all rows of {one.owner}/{one.name} are asked, not the first {one.limit}", one.where)
    notes.remark(
        "promptfoo takes a line break off the end of each text, and fills in templates that stand in rows", one.where
    )
