"""Judges and embedding models."""

from __future__ import annotations

from typing import Final

from llmgate.session.options.option import Option

__all__ = ["JUDGES"]

JUDGES: Final = (
    Option(name="judge-endpoint", metavar="URL", help="Endpoint of the judge, instead of --judge-model."),
    Option(
        name="judge-replicas",
        metavar="URL ...",
        default="",
        help="Further endpoints that serve the very judge that --judge-endpoint serves, as for --replicas.",
    ),
    Option(
        name="judge-model",
        metavar="PLACE",
        help="Model of the judge, a place as for --model; started after the model under test has ended.",
    ),
    Option(name="judge-name", metavar="NAME", help="Model name in the judge's requests."),
    Option(
        name="judge-api-key-env",
        metavar="VAR",
        default="LLMGATE_JUDGE_API_KEY",
        help="Environment variable with the judges' key; that of judge `strict` alone has _STRICT at its end.",
    ),
    Option(
        name="judge-finish-reasons",
        metavar="NAME ...",
        default="",
        help="The same for the endpoints of judges.",
    ),
    Option(
        name="judges",
        metavar="NAME=URL ...",
        default="",
        help='Judges that suites name, e.g. for a panel: "strict=http://a:8001 kind=some-model@http://b:8002".',
    ),
    Option(name="judge-rpm", kind="int", default=0, metavar="N", help="As --rpm, for each endpoint of judges."),
    Option(name="judge-tpm", kind="int", default=0, metavar="N", help="As --tpm, for each endpoint of judges."),
    Option(
        name="judge-admission",
        metavar="FILE ...",
        default="",
        help="Admission records of the judges, from `llmgate judge admit`, beside those that suites name.",
    ),
    Option(
        name="judge-anchors",
        metavar="FILE",
        help="Answers with stored verdicts, which the judge is asked about again: see `llmgate anchors freeze`.",
    ),
    Option(name="embed-endpoint", metavar="URL", help="Endpoint of the embedding model that similarities need."),
    Option(name="embed-name", metavar="NAME", help="Model name in embedding requests. Default: what it lists."),
    Option(
        name="embed-api-key-env",
        metavar="VAR",
        default="LLMGATE_EMBED_API_KEY",
        help="Environment variable with the embedding endpoint's key.",
    ),
)
