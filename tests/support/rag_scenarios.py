"""Scripted retrieval scenarios that llmgate and Ragas can both be given, with the scores that Ragas 0.4.3 gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmgate import Evaluation, evaluate_assert

QUERY, ANSWER, REFERENCE = "How long is the window?", "30 days, for shoes.", "Shoes: 30 days. Hats: none."
PASSAGES = ["Shoes can be returned for 30 days.", "Our shop is blue.", "Hats cannot be returned."]

METRICS = {
    "rag-answer-correctness": ("AnswerCorrectness", ("user_input", "response", "reference")),
    "rag-answer-relevancy": ("AnswerRelevancy", ("user_input", "response")),
    "rag-context-entity-recall": ("ContextEntityRecall", ("reference", "retrieved_contexts")),
    "rag-context-precision": ("ContextPrecision", ("user_input", "reference", "retrieved_contexts")),
    "rag-context-recall": ("ContextRecall", ("user_input", "reference", "retrieved_contexts")),
    "rag-context-relevance": ("ContextRelevance", ("user_input", "retrieved_contexts")),
    "rag-context-utilization": ("ContextUtilization", ("user_input", "response", "retrieved_contexts")),
    "rag-faithfulness": ("Faithfulness", ("user_input", "response", "retrieved_contexts")),
    "rag-noise-resistance": ("NoiseSensitivity", ("user_input", "response", "reference", "retrieved_contexts")),
}
"""Our type → Ragas' metric and what it is given."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Attributes: see `evaluate_assert`; `ragas` is its score, None for NaN or an exception; `init` its settings."""

    name: str
    type: str
    replies: list[Any]
    ragas: float | None = None
    vectors: dict[str, list[float]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    init: dict[str, Any] = field(default_factory=dict)
    passages: list[str] = field(default_factory=lambda: list(PASSAGES))
    refused: bool = False
    """We report an error on purpose although Ragas gives a score."""

    def evaluate(self, **more: Any) -> Evaluation:
        script = list(self.replies)
        spec = {"type": self.type, "config": self.config, **more}
        row = {"query": QUERY, "reference": REFERENCE, "context": self.passages}
        return evaluate_assert(
            spec, ANSWER, vars=row, judge=lambda _: json.dumps(script.pop(0)), embed=lambda text: self.vectors[text]
        )

    def for_ragas(self) -> dict[str, Any]:
        metric, names = METRICS[self.type]
        given = {"user_input": QUERY, "response": ANSWER, "reference": REFERENCE, "retrieved_contexts": self.passages}
        inputs = {name: given[name] for name in names}
        return {
            "metric": metric,
            "init": self.init,
            "inputs": inputs,
            "replies": self.replies,
            "vectors": self.vectors,
        }

    def wanted(self, ragas: float) -> float:
        """Our score for Ragas' score: without its epsilons, and higher is better."""
        if self.type == "rag-noise-resistance":
            return 1 - ragas
        if self.type == "rag-context-entity-recall":
            wanted = len(set(self.replies[0]["entities"]))
            return ragas * (wanted + 1e-8) / wanted
        return ragas


def claims(*texts: str) -> dict[str, Any]:
    return {"statements": list(texts)}


def nli(*verdicts: int) -> dict[str, Any]:
    return {"statements": [{"statement": "s", "reason": "r", "verdict": verdict} for verdict in verdicts]}


def attributions(*flags: int) -> dict[str, Any]:
    return {"classifications": [{"statement": "s", "reason": "r", "attributed": flag} for flag in flags]}


def useful(*verdicts: int) -> list[dict[str, Any]]:
    return [{"reason": "r", "verdict": verdict} for verdict in verdicts]


def guess(question: str, noncommittal: int = 0) -> dict[str, Any]:
    return {"question": question, "noncommittal": noncommittal}


def classes(tp: int, fp: int, fn: int) -> dict[str, Any]:
    one = {"statement": "s", "reason": "r"}
    return {"TP": [one] * tp, "FP": [one] * fp, "FN": [one] * fn}


def entities(*names: str) -> dict[str, Any]:
    return {"entities": list(names)}


VECTORS = {
    QUERY: [1.0, 0.0], "same": [2.0, 0.0], "near": [0.8, 0.6], "far": [0.0, 1.0], "opposite": [-1.0, 0.0],
    "none": [0.0, 0.0], ANSWER: [0.6, 0.8], REFERENCE: [1.0, 1.0],
}  # fmt: skip
ZERO = {**VECTORS, ANSWER: [0.0, 0.0]}
CORRECT, RELEVANCY, ENTITY = "rag-answer-correctness", "rag-answer-relevancy", "rag-context-entity-recall"
PRECISION, RECALL, RELEVANCE = "rag-context-precision", "rag-context-recall", "rag-context-relevance"
FAITHFUL, NOISE, UTILIZATION = "rag-faithfulness", "rag-noise-resistance", "rag-context-utilization"
TWO = [claims("a", "b"), claims("c", "d", "e")]

SCENARIOS = [
    Scenario(name="all-supported", type=FAITHFUL, replies=[claims("a", "b"), nli(1, 1)], ragas=1.0),
    Scenario(name="one-of-three", type=FAITHFUL, replies=[claims("a", "b", "c"), nli(0, 1, 0)], ragas=1 / 3),
    Scenario(name="none-supported", type=FAITHFUL, replies=[claims("a"), nli(0)], ragas=0.0),
    Scenario(name="no-claims", type=FAITHFUL, replies=[claims()]),
    Scenario(name="no-verdicts", type=FAITHFUL, replies=[claims("a"), nli()]),
    Scenario(name="verdict-missing", type=FAITHFUL, replies=[claims("a", "b"), nli(1)], ragas=1.0, refused=True),
    Scenario(name="verdict-of-2", type=FAITHFUL, replies=[claims("a"), nli(2)], ragas=1.0, refused=True),
    Scenario(name="first-only", type=PRECISION, replies=useful(1, 0, 0), ragas=1.0),
    Scenario(name="last-only", type=PRECISION, replies=useful(0, 0, 1), ragas=1 / 3),
    Scenario(name="first-and-last", type=PRECISION, replies=useful(1, 0, 1), ragas=5 / 6),
    Scenario(name="none", type=PRECISION, replies=useful(0, 0, 0), ragas=0.0),
    Scenario(name="without-reference", type=UTILIZATION, replies=useful(0, 1, 1), ragas=7 / 12),
    Scenario(name="two-of-three", type=RECALL, replies=[attributions(1, 0, 1)], ragas=2 / 3),
    Scenario(name="none", type=RECALL, replies=[attributions(0)], ragas=0.0),
    Scenario(name="no-sentences", type=RECALL, replies=[attributions()]),
    Scenario(name="full", type=RELEVANCE, replies=[{"rating": 2}, {"rating": 2}], ragas=1.0),
    Scenario(name="differ", type=RELEVANCE, replies=[{"rating": 2}, {"rating": 1}], ragas=0.75),
    Scenario(name="none", type=RELEVANCE, replies=[{"rating": 0}, {"rating": 0}], ragas=0.0),
    Scenario(name="repeats-question", type=RELEVANCE, replies=[], passages=[QUERY], ragas=0.0),
    Scenario(
        name="one-unusable", type=RELEVANCE, replies=[{"rating": 2}, *[{"rating": 7}] * 5], ragas=1.0, refused=True
    ),
    Scenario(name="unusable", type=RELEVANCE, replies=[{"rating": 7}] * 10),
    Scenario(name="half", type=ENTITY, replies=[entities("Ann", "Bob", "Bob"), entities("Bob", "Cy")], ragas=0.5),
    Scenario(name="all", type=ENTITY, replies=[entities("Ann"), entities("Ann", "Bob")], ragas=1.0),
    Scenario(name="case-counts", type=ENTITY, replies=[entities("Ann"), entities("ann")], ragas=0.0),
    Scenario(name="none-wanted", type=ENTITY, replies=[entities(), entities("Ann")], ragas=0.0, refused=True),
    Scenario(
        name="mixed",
        type=RELEVANCY,
        replies=[guess("same"), guess("near"), guess("far")],
        vectors=VECTORS,
        ragas=0.6,
    ),
    Scenario(
        name="one-noncommittal",
        type=RELEVANCY,
        replies=[guess("same", 1), guess("near"), guess("near")],
        vectors=VECTORS,
        ragas=2.6 / 3,
    ),
    Scenario(
        name="noncommittal", type=RELEVANCY, replies=[guess("same", 1)] * 3, vectors=VECTORS, ragas=0.0
    ),
    Scenario(
        name="five-questions",
        type=RELEVANCY,
        replies=[guess("near")] * 4 + [guess("far")],
        vectors=VECTORS,
        config={"questions": 5},
        init={"strictness": 5},
        ragas=0.64,
    ),
    Scenario(name="opposite", type=RELEVANCY, replies=[guess("opposite")] * 3, vectors=VECTORS, ragas=-1.0),
    Scenario(name="no-direction", type=RELEVANCY, replies=[guess("none")] * 3, vectors=VECTORS),
    Scenario(name="no-question", type=RELEVANCY, replies=[guess("")] * 3, vectors=VECTORS, ragas=0.0, refused=True),
    Scenario(
        name="mixed", type=CORRECT, replies=[*TWO, classes(1, 1, 2)], vectors=VECTORS, ragas=0.547487373415292
    ),
    Scenario(
        name="nothing-right", type=CORRECT, replies=[*TWO, classes(0, 2, 3)], vectors=VECTORS, ragas=0.247487373415292
    ),
    Scenario(name="no-direction", type=CORRECT, replies=[*TWO, classes(2, 0, 0)], vectors=ZERO, ragas=0.75),
    Scenario(
        name="recall-counts-more",
        type=CORRECT,
        replies=[*TWO, classes(2, 0, 2)],
        config={"beta": 2.0, "weights": {"facts": 1, "similarity": 0}},
        init={"beta": 2.0, "weights": [1.0, 0.0]},
        ragas=5 / 9,
    ),
    Scenario(name="nothing-said", type=CORRECT, replies=[claims(), claims("c")], vectors=VECTORS,
             ragas=0.997487373415292, refused=True),
    Scenario(name="unclassified", type=CORRECT, replies=[*TWO, classes(1, 0, 0)], vectors=VECTORS,
             ragas=0.997487373415292, refused=True),
    Scenario(
        name="one-of-two-misled",
        type=NOISE,
        replies=[claims("g"), claims("a", "b"), nli(1), nli(1, 0), nli(0), nli(0, 1), nli(0), nli(0, 0), nli(0, 0)],
        ragas=0.5,
    ),
    Scenario(
        name="by-irrelevant",
        type=NOISE,
        replies=[claims("g"), claims("a", "b"), nli(1), nli(1, 0), nli(0), nli(1, 1), nli(0), nli(0, 0), nli(0, 0)],
        config={"passages": "irrelevant"},
        init={"mode": "irrelevant"},
        ragas=0.5,
    ),
    Scenario(
        name="right-after-all",
        type=NOISE,
        replies=[claims("g"), claims("a"), nli(1), nli(1), nli(1), nli(1), nli(1), nli(1), nli(1)],
        ragas=0.0,
    ),
    Scenario(name="nothing-said", type=NOISE, replies=[claims("g"), claims(), *[nli(1), nli()] * 3, nli()]),
]  # fmt: skip


@dataclass(frozen=True)
class Dice:
    """Builds a scenario of each type with random replies, each of which is complete."""

    rng: np.random.Generator
    passages: list[str]

    def flags(self, count: int) -> list[int]:
        return [int(one) for one in self.rng.integers(0, 2, count)]

    def some(self) -> int:
        return int(self.rng.integers(1, 6))

    def claims(self) -> tuple[dict[str, Any], int]:
        count = self.some()
        return claims(*"abcde"[:count]), count

    def faithfulness(self) -> dict[str, Any]:
        said, count = self.claims()
        return {"replies": [said, nli(*self.flags(count))]}

    def precision(self) -> dict[str, Any]:
        return {"replies": useful(*self.flags(len(self.passages)))}

    def recall(self) -> dict[str, Any]:
        return {"replies": [attributions(*self.flags(self.some()))]}

    def relevance(self) -> dict[str, Any]:
        return {"replies": [{"rating": int(one)} for one in self.rng.integers(0, 3, 2)]}

    def entities(self) -> dict[str, Any]:
        names = [[f"e{k}" for k in self.rng.integers(0, 6, self.some())] for _ in range(2)]
        return {"replies": [entities(*one) for one in names]}

    def relevancy(self) -> dict[str, Any]:
        return {"replies": [guess(f"q{k}", flag) for k, flag in enumerate(self.flags(3))]}

    def correctness(self) -> dict[str, Any]:
        (said, n), (wanted, m) = self.claims(), self.claims()
        tp, fn = int(self.rng.integers(0, n + 1)), int(self.rng.integers(0, m + 1))
        beta, facts = float(self.rng.uniform(0.5, 2)), float(self.rng.uniform(0.1, 1))
        return {
            "replies": [said, wanted, classes(tp, n - tp, fn)],
            "config": {"beta": beta, "weights": {"facts": facts, "similarity": 1 - facts}},
            "init": {"beta": beta, "weights": [facts, 1 - facts]},
        }

    def noise(self) -> dict[str, Any]:
        (wanted, m), (said, n) = self.claims(), self.claims()
        per_passage = [reply for _ in self.passages for reply in (nli(*self.flags(m)), nli(*self.flags(n)))]
        mode = ("relevant", "irrelevant")[self.flags(1)[0]]
        return {
            "replies": [wanted, said, *per_passage, nli(*self.flags(n))],
            "config": {"passages": mode},
            "init": {"mode": mode},
        }


BUILDERS = {
    CORRECT: Dice.correctness, ENTITY: Dice.entities, FAITHFUL: Dice.faithfulness, NOISE: Dice.noise,
    PRECISION: Dice.precision, RECALL: Dice.recall, RELEVANCE: Dice.relevance, RELEVANCY: Dice.relevancy,
    UTILIZATION: Dice.precision,
}  # fmt: skip


def random_scenarios(rng: np.random.Generator, number: int) -> list[Scenario]:
    """Scenarios of all types with random replies."""
    found = []
    for i in range(number):
        kind = sorted(METRICS)[i % len(METRICS)]
        passages = [f"passage {k}" for k in range(int(rng.integers(1, 6)))]
        texts = (QUERY, ANSWER, REFERENCE, "q0", "q1", "q2")
        vectors = {text: [float(x) for x in rng.normal(size=4)] for text in texts}
        made = BUILDERS[kind](Dice(rng, passages))
        found.append(Scenario(name=f"random-{i}", type=kind, vectors=vectors, passages=passages, **made))
    return found
