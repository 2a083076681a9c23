"""What lm-evaluation-harness does with answers: filters, metrics and generation settings, as asserts and sampling.

Every filter of a task is applied to the same answers and scored apart, so each becomes a metric. Names and meaning:
lm_eval/filters and lm_eval/api/metrics.py, 0.4.13.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.importers.files import FUNCTION, listing, mapping
from llmgate.suite.importers.promptfoo.sampling import sampling_of
from llmgate.suite.importers.table import slug

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.result import Notebook

__all__ = ["generation", "metrics_of", "transforms", "written_asserts", "written_choices"]

Metrics = list[tuple[str, Mapping[str, Any]]]
"""Names and options."""

_DEFAULTS: Final = {"multiple_choice": ("acc", "acc_norm"), "generate_until": ("exact_match",)}
_ACCURACY: Final = ("acc", "acc_norm", "acc_bytes")
_TRANSFORMS: Final = {"lowercase": "lower", "uppercase": "upper", "remove_whitespace": "trim"}
_LAST: Final = frozenset({"take_first"})
_AGGREGATION: Final = frozenset({"aggregation", "higher_is_better", "metric", "hf_evaluate", "weight_by_size"})
_EXACT: Final = frozenset({"ignore_case", "ignore_punctuation", "ignore_numbers", "regexes_to_ignore"})
_OF_ALL: Final = frozenset({"bleu", "chrf", "chrf++", "ter", "f1", "mcc", "perplexity", "word_perplexity"})
_SAMPLED: Final = ("temperature", "top_p", "top_k", "min_p", "max_gen_toks", "max_new_tokens", "max_tokens")
_LIMITS: Final = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
DEFAULT_TOKENS: Final = 256
MOST_STOPS: Final = 4
"""How many stop texts OpenAI's API takes; the harness sends it no more either."""


def metrics_of(config: Mapping[str, Any], where: str, notes: Notebook) -> Metrics:
    """Names and options of `metric_list`; what the harness takes where there is none."""
    if config.get("process_results") is not None:
        names = ", ".join(str(mapping(one).get("metric")) for one in listing(config.get("metric_list")))
        notes.lost(f"process_results is code, which computes every metric ({names[:160]})", where)
        return []
    listed = config.get("metric_list")
    if not isinstance(listed, list):
        kind = str(config.get("output_type", "generate_until"))
        return [(name, {}) for name in _DEFAULTS.get(kind, ())]
    metrics: Metrics = []
    for metric in map(mapping, listed):
        name = str(metric.get("metric"))
        if name.startswith(FUNCTION):
            notes.lost(f"the metric {name.removeprefix(FUNCTION).strip()} is code, which is not run", where)
            continue
        how = str(metric.get("aggregation", "mean"))
        if how not in {"mean", "nanmean"} and name in {"exact_match", *_ACCURACY}:
            notes.remark(f"{name} was aggregated by {how}; here each answer counts the same", where)
        metrics.append((name, {key: value for key, value in metric.items() if key not in _AGGREGATION}))
    return metrics


def written_choices(
    metrics: Metrics, written: Mapping[str, Json], where: str, notes: Notebook
) -> list[dict[str, Json]]:
    """The assert that stands for accuracy over options, once however many ways of normalising likelihoods there are."""
    kept = []
    for name, _ in metrics:
        if name in _ACCURACY:
            kept.append(name)
        else:
            lost_metric(name, where, notes)
    if len(kept) > 1:
        notes.remark(f"{', '.join(kept)} differ in how likelihoods are normalised; here they are one assert", where)
    return [{**written, "metric": "acc"}] if kept else []


def written_asserts(
    metrics: Metrics, config: Mapping[str, Any], value: Json, where: str, notes: Notebook, *, trimmed: bool
) -> list[dict[str, Json]]:
    """One assert per metric and filter.

    Args:
        metrics: Names and options.
        config: The task's settings, for its filters.
        value: What reads the target column.
        where: The task's file.
        notes: What is left out.
        trimmed: Whether white space around answers does not count.
    """
    filters = [entry for entry in listing(config.get("filter_list")) if isinstance(entry, Mapping)]
    kept = [(name, options) for name, options in metrics if metric_fits(name, options, where, notes)]
    asserts: list[dict[str, Json]] = []
    for entry in filters or [{}]:
        steps = transforms(entry, where, notes)
        if steps is None:
            continue
        for name, options in kept:
            label = f"{name} {entry.get('name')}" if len(filters) > 1 else name
            transform = [*steps, *(["trim"] if trimmed else [])]
            asserts.append(
                {
                    "type": "exact-match",
                    "value": value,
                    "metric": slug(label),
                    "config": exactness(options),
                    **({"transform": transform} if transform else {}),
                }
            )
    return asserts


def metric_fits(name: str, options: Mapping[str, Any], where: str, notes: Notebook) -> bool:
    """Whether a metric of written answers can be carried over; notes why not."""
    if name != "exact_match":
        lost_metric(name, where, notes)
        return False
    unknown = sorted(set(map(str, options)) - _EXACT)
    if unknown:
        notes.lost(f"the metric exact_match, for its option {unknown[0]!r}", where)
        return False
    patterns = options.get("regexes_to_ignore")
    if patterns is not None and not (isinstance(patterns, list) and all(isinstance(one, str) for one in patterns)):
        notes.lost("the metric exact_match, whose regexes_to_ignore is no list of patterns", where)
        return False
    return True


def lost_metric(name: str, where: str, notes: Notebook) -> None:
    """Say what is missing."""
    why = ", which is one figure of all answers and none of a single one" if name in _OF_ALL else ""
    notes.lost(f"the metric {name} has no counterpart{why}", where)


def exactness(options: Mapping[str, Any]) -> dict[str, Json]:
    """The settings of `exact-match` that compare as exact_match does: letter by letter but for what is ignored."""
    ignored: dict[str, Json] = {"normalise": "none"}
    patterns = [one for one in listing(options.get("regexes_to_ignore")) if one]
    if patterns:
        ignored["ignore"] = patterns
    for key in ("ignore_case", "ignore_punctuation", "ignore_numbers"):
        if options.get(key):
            ignored[key] = True
    return ignored


def transforms(entry: Mapping[str, Any], where: str, notes: Notebook) -> list[Json] | None:
    """The transforms that stand for one filter, None if it has none, which is noted."""
    names: list[Json] = []
    label = entry.get("name")
    taken = False
    for step in map(mapping, listing(entry.get("filter"))):
        name = str(step.get("function"))
        if name == "take_first":
            taken = True
            continue
        written = None if taken else transform(name, step)
        if written is None:
            notes.lost(f"the filter {label!r}, for its step {name}: metrics of it are left out", where)
            return None
        names.append(written)
    return names


def transform(name: str, step: Mapping[str, Any]) -> str | None:
    """The transform that does what one step of a filter does, None if there is none."""
    options = {key: value for key, value in step.items() if key != "function"}
    if name in _TRANSFORMS:
        return None if options else _TRANSFORMS[name]
    if name != "regex" or set(options) - {"regex_pattern", "group_select", "fallback"}:
        return None
    pattern = options.get("regex_pattern", r"#### (\-?[0-9\.\,]+)")
    index = options.get("group_select", 0)
    # An answer that does not match fails here; with another fallback it could be right.
    if options.get("fallback", "[invalid]") != "[invalid]" or not isinstance(pattern, str) or not compiles(pattern):
        return None
    return f"findall:{index}:{pattern}" if isinstance(index, int) and not isinstance(index, bool) else None


def compiles(pattern: str) -> bool:
    """Whether Python takes a pattern."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return bool(pattern)


def generation(config: Mapping[str, Any], where: str, notes: Notebook) -> dict[str, Json]:
    """The sampling of `generation_kwargs`, with what the harness takes where it says nothing."""
    if config.get("output_type") == "multiple_choice":
        return {"temperature": 0}
    given = config.get("generation_kwargs")
    given = given if isinstance(given, Mapping) else {}
    delimiter = str(config.get("fewshot_delimiter", "\n\n"))
    stops = texts_of(given.get("until", delimiter))
    if len(stops) > MOST_STOPS:
        notes.setting(f"{len(stops) - MOST_STOPS} of the stop texts: an endpoint takes {MOST_STOPS}", where)
    for key in sorted(set(map(str, given)) - {*_SAMPLED, *_LIMITS, "until", "do_sample", "seed"}):
        notes.setting(f"generation_kwargs.{key} is not sent", where)
    limit = next((given[key] for key in _LIMITS if given.get(key) is not None), DEFAULT_TOKENS)
    kept = {key: given[key] for key in ("temperature", "top_p", "top_k", "min_p", "seed") if key in given}
    if isinstance(kept.get("temperature"), str):
        kept["temperature"] = number(kept["temperature"])
    if given.get("do_sample") is False or kept.get("temperature") is None:
        kept["temperature"] = 0
    sampling = sampling_of({"max_tokens": limit, **kept}, where, notes)
    return {**sampling, **({"stop": list(stops[:MOST_STOPS])} if stops else {})}


def texts_of(stops: Any) -> Sequence[str]:
    """Stop texts that are not empty."""
    return [stop for stop in (stops if isinstance(stops, list) else [stops]) if isinstance(stop, str) and stop]


def number(text: str) -> float | None:
    """A number that was written as a text."""
    try:
        return float(text)
    except ValueError:
        return None
