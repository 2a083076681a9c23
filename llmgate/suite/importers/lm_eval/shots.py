"""Examples before a question of lm-evaluation-harness: the very ones that it draws, where their documents are at hand.

`fewshot_context` of lm_eval/api/task.py and the samplers of lm_eval/api/samplers.py, 0.4.13: `first_n` takes the first
ones, the default draws from one generator for all documents in their order, seeded with 1234.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError, TemplateError
from llmgate.suite.importers.files import FUNCTION, ForeignFile, mapping
from llmgate.suite.importers.lm_eval.choices import own_labels
from llmgate.suite.importers.lm_eval.docs import turn_of, with_prefix
from llmgate.suite.importers.lm_eval.task import local_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmgate.suite.importers.result import Notebook

__all__ = ["examples"]

SEED: Final = 1234
"""What `--seed` gives the generator of examples unless told otherwise."""
_OVERRIDES: Final = ("doc_to_text", "doc_to_choice", "doc_to_target", "gen_prefix", "target_delimiter")
_KNOWN: Final = frozenset({*_OVERRIDES, "sampler", "split", "samples", "fewshot_delimiter", "process_docs"})


def examples(source: ForeignFile, config: Mapping[str, Any], notes: Notebook) -> Callable[[Mapping[str, Any]], str]:
    """What writes the examples that stand before a document; called for each document once, in their order.

    Where they cannot be had, nothing stands before, which is noted: the model is asked in another way.
    """
    count = config.get("num_fewshot") or 0
    where = str(source.path)
    if not isinstance(count, int) or count < 1:
        return lambda _: ""
    try:
        pool, excludes = documents_of_examples(source, config)
        given = mapping(config.get("fewshot_config"))
        for key in sorted(set(map(str, given)) - _KNOWN):
            notes.setting(f"fewshot_config.{key} is not read", where)
        own = {**config, **{key: given[key] for key in _OVERRIDES if given.get(key) is not None}}
        written = [example(document, own) for document in pool]
        draw = sampler(str(given.get("sampler", "default")), pool, count, excludes=excludes)
        delimiter = str(given.get("fewshot_delimiter", config.get("fewshot_delimiter", "\n\n")))
        if len(pool) < count + excludes:
            raise ValueError(f"there are {len(pool)} documents to draw them from")
    except (SuiteError, TemplateError, ValueError) as error:
        what = str(error) if isinstance(error, ValueError) else error.what
        notes.setting(f"num_fewshot {count}: examples are not put before the question: {what}", where)
        return lambda _: ""
    return lambda document: "".join(f"{written[i]}{delimiter}" for i in draw(document))


def documents_of_examples(source: ForeignFile, config: Mapping[str, Any]) -> tuple[list[Any], bool]:
    """The documents that examples are drawn from, and whether the document that is asked is left out.

    Raises:
        ValueError: If code makes them.
        SuiteError: If they are in no file.
    """
    given = mapping(config.get("fewshot_config"))
    if given.get("process_docs") is not None:
        raise ValueError("fewshot_config.process_docs is code")
    split = given.get("split") or config.get("fewshot_split")
    excludes = split == config.get("test_split")
    samples = given.get("samples")
    if split is None and samples is not None:
        if str(samples).startswith(FUNCTION) or not isinstance(samples, list):
            raise ValueError("fewshot_config.samples is code")
        return samples, excludes
    named = split or next(
        (config[key] for key in ("training_split", "validation_split", "test_split") if config.get(key)), None
    )
    return [document for document, _ in local_documents(source, config, str(named))], excludes


def sampler(name: str, pool: list[Any], count: int, *, excludes: bool) -> Callable[[Mapping[str, Any]], list[int]]:
    """What draws the places of examples for each document.

    Raises:
        ValueError: If the harness has no such sampler, or it is code.
    """
    if name == "first_n":
        return lambda document: [i for i, one in enumerate(pool) if not (excludes and one == document)][:count]
    if name != "default":
        raise ValueError(f"the sampler {name} is not known")
    generator = Random(SEED)  # noqa: S311 - the very generator of the harness
    places = list(range(len(pool)))

    def draw(document: Mapping[str, Any]) -> list[int]:
        if not excludes:
            return generator.sample(places, count)
        drawn = [i for i in generator.sample(places, count + 1) if pool[i] != document][:count]
        if len(drawn) < count:
            drawn = generator.sample([i for i in places if pool[i] != document], count)
        return drawn

    return draw


def example(document: Any, config: Mapping[str, Any]) -> str:
    """A question with its answer.

    Raises:
        ValueError: If its answer is not known, or is the text of an option that is lettered here.
        TemplateError: If a template cannot be rendered.
    """
    for key in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        if str(config.get(key, "")).startswith(FUNCTION):
            raise ValueError(f"{key} of the examples is code")
    turn = turn_of(document, config)
    if turn.options and own_labels(turn.text, turn.options) is None:
        raise ValueError("they answer with the text of an option, and here letters are asked for")
    answer = turn.options[turn.right] if turn.options and turn.right is not None else next(iter(turn.targets), "")
    if not answer:
        raise ValueError("an example has no answer")
    delimiter = str(config.get("target_delimiter", " "))
    return (
        f"{turn.text}{delimiter}{answer}"
        if not turn.prefix
        else (
            f"{with_prefix(turn.text, turn.prefix, delimiter)}"
            f"{'' if turn.prefix[-1].isspace() or answer[0].isspace() else ' '}{answer}"
        )
    )
