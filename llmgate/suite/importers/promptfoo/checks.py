"""The asserts of one promptfoo test as a whole: what its options and its provider do to them, and who judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.form.asserts import ASSERT_SET
from llmgate.suite.importers.files import listing, mapping
from llmgate.suite.importers.promptfoo.asserts import carried
from llmgate.suite.importers.promptfoo.code import transform_of
from llmgate.suite.importers.promptfoo.sampling import Data

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.promptfoo.sampling import ProviderRequest
    from llmgate.suite.importers.promptfoo.tests import PromptfooTest
    from llmgate.suite.importers.result import ImportedSuite, Notebook

__all__ = ["checks_of", "note_judges"]

_CALLS: Final = "is-valid-openai-tools-call"
_FUNCTION_CALLS: Final = frozenset({"is-valid-function-call", "is-valid-openai-function-call"})
_BLIND: Final = frozenset({"latency", "cost", "perplexity", "perplexity-score", "finish-reason"})
"""Types that look at something else than the text of an answer, which no transform changes."""
_EMBEDDED: Final = "similar"


def checks_of(
    test: PromptfooTest, row: Mapping[str, Json], asked: ProviderRequest, notes: Notebook
) -> tuple[dict[str, Json], ...]:
    """The asserts of a test as they stand in our suite; notes what is left out.

    Args:
        test: The test.
        row: A dataset row, to try them on.
        asked: How the provider is asked, and what it does to answers.
        notes: What is left out.
    """
    if test.scoring is not None and test.asserts:
        notes.lost("`assertScoringFunction`: code makes one verdict of the asserts, so they are left out", test.where)
        return ()
    before, code = transforms_before(test, asked)
    kept = []
    for raw, where in test.asserts:
        reason = obstacle(raw, test, asked, code, notes)
        if reason:
            notes.lost(f"assert {type_of(raw)!r} left out: {reason}", where)
            continue
        made = carried(as_called(without_judge(raw), asked), where, row, notes, before, data=asked.data is Data.PERHAPS)
        if made is not None:
            kept.append(made)
    return tuple(kept)


def type_of(raw: Any) -> str:
    """The type of an assert as it is written."""
    return str(mapping(raw).get("type"))


def members(raw: Any) -> list[Any]:
    """An assert, or those of a set."""
    return listing(mapping(raw).get("assert")) if type_of(raw) == ASSERT_SET else [raw]


def transforms_before(test: PromptfooTest, asked: ProviderRequest) -> tuple[list[Json], str]:
    """The transforms of provider and test, in order, and the setting that is code without a counterpart."""
    names: list[Json] = ["parsed"] if asked.data is Data.SURELY else []
    options = test.options
    written = {
        "the provider's `transform`": asked.transform,
        "`options.transform`": options.get("transform") or options.get("postprocess"),
    }
    for what, code in written.items():
        if code:
            found = transform_of(code)
            if found is None:
                return [], what
            names += found
    if asked.callbacks:
        return [], "`functionToolCallbacks`"
    return names, ""


def obstacle(raw: Any, test: PromptfooTest, asked: ProviderRequest, code: str, notes: Notebook) -> str | None:
    """Why an assert of a test cannot be kept, as far as the test and the provider say."""
    bases = [type_of(member).removeprefix("not-") for member in members(raw)]
    if code and not all(base in _BLIND for base in bases):
        return f"it sees what {code} makes of the answer, and code is not run"
    if test.options.get("rubricPrompt") is not None and any(map(notes.vocabulary.is_judge, bases)):
        return "`options.rubricPrompt` words the question to the judge itself"
    extra = mapping(asked.sampling.get("extra"))
    offered = {_CALLS: "tools" in extra, **dict.fromkeys(_FUNCTION_CALLS, "tools" in extra or "functions" in extra)}
    if any(base in offered and (asked.no_tools or not offered[base]) for base in bases):
        return "the tools that it compares calls with are not carried over"
    return None


def as_called(raw: Any, asked: ProviderRequest) -> Any:
    """An assert on calls of functions, where what was offered became tools."""
    base = type_of(raw).removeprefix("not-")
    if base in _FUNCTION_CALLS and "functions" not in mapping(asked.sampling.get("extra")):
        return {**raw, "type": type_of(raw).replace(base, _CALLS)}
    return raw


def without_judge(raw: Any) -> Any:
    """An assert without its own `provider`: who judges is said when the suite is run."""
    if not isinstance(raw, Mapping):
        return raw
    inner = raw.get("assert")
    if isinstance(inner, list) and any("provider" in mapping(member) for member in inner):
        raw = {**raw, "assert": list(map(without_judge, inner))}
    return {key: value for key, value in raw.items() if key != "provider"} if "provider" in raw else raw


def note_judges(tests: Iterable[PromptfooTest], suites: Iterable[ImportedSuite], grader: Any, notes: Notebook) -> None:
    """Say once who has to be named for what asks a judge or an embedding model, and who it was."""
    types = {kind.removeprefix("not-") for suite in suites for kind in suite.types}
    judged, embedded = any(map(notes.vocabulary.is_judge, types)), _EMBEDDED in types
    if not judged and not embedded:
        return
    judges: dict[str, None] = dict.fromkeys(named(grader, "text"))
    embedders: dict[str, None] = {}
    for test in tests:
        option = test.options.get("provider")
        judges |= dict.fromkeys(named(option, "text"))
        embedders |= dict.fromkeys(named(option, "embedding") if isinstance(option, Mapping) else [])
        for raw, _ in test.asserts:
            for member in members(raw):
                similar = type_of(member).removeprefix("not-") == _EMBEDDED
                found = named(mapping(member).get("provider"), "embedding" if similar else "text")
                (embedders if similar else judges).update(dict.fromkeys(found))
    for needed, names, option in ((judged, judges, "judge"), (embedded, embedders, "embed")):
        if needed:
            who = {"judge": "a judge", "embed": "an embedding model"}[option]
            was = f"; it was {', '.join(names)[:160]}" if names else ""
            notes.remark(f"asserts ask {who}: name it with --{option}-endpoint when the suite is run{was}")


def named(provider: Any, kind: str) -> list[str]:
    """The name of a provider of judgements, in any of the forms in which it is written."""
    if isinstance(provider, str):
        return [provider]
    if not isinstance(provider, Mapping):
        return []
    if kind in provider:
        return named(provider[kind], kind)
    return [str(provider["id"])] if "id" in provider else []
