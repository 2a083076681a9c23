"""How a model is asked, what it is compared with, and which files and keys may be used."""

from __future__ import annotations

from typing import Final

from llmgate.session.options.option import Option

__all__ = ["ASKING", "COMPARISON", "FILES"]

COMPARISON: Final = (
    Option(name="baseline", metavar="RUN", help="The champion's run: a folder, or models:/NAME@champion in MLflow."),
    Option(
        name="champion",
        metavar="HOW|PLACE",
        default="auto",
        # In a file, whoever changes the repository could have the candidate compared with a worse model.
        by_hand=True,
        help="fresh asks the champion again beside the candidate, stored compares with its run's answers, auto asks it"
        " where its weights are at hand; a model folder or URL, URL#NAME, asks it there, without a run if need be.",
    ),
    Option(
        name="as-baseline",
        kind="flag",
        default=False,
        # In a file, it would let every run through that forgets its --baseline.
        by_hand=True,
        help="Record what later runs are compared with: ends with 0 though nothing is compared. `min:` still decides.",
    ),
    Option(
        name="round",
        metavar="NAME",
        help="Declare the run one of several candidates, which `llmgate round NAME` decides together.",
    ),
    Option(name="policy", metavar="FILE", help="Policy file that overrides the margins and roles in the suites."),
    Option(
        name="allow-inconclusive",
        kind="flag",
        default=False,
        help="Exit with 0 on INCONCLUSIVE. It still allows no promotion.",
    ),
    Option(
        name="strict-power",
        kind="flag",
        default=False,
        help="Refuse to run where the champion's repeats say that an unchanged model would pass too rarely.",
    ),
    Option(
        name="no-stopping",
        kind="flag",
        default=False,
        help="Ask all cases, also of suites that could stop early; for runs that others will be compared with.",
    ),
    Option(
        name="serving-champion",
        metavar="PLACE|URL",
        # In a file, whoever changes the repository could have the candidate compared with a slower server.
        by_hand=True,
        help="Where the champion is served for the comparison of serving, as URL or URL#NAME, or its model, a place as"
        " for --model. "
        "Default: the folder or endpoint of its run.",
    ),
    Option(
        name="serving-hosting",
        metavar="HOW",
        default="auto",
        help="How both are served: together, shared (one server, two names), restarts (one after another), or auto.",
    ),
)
ASKING: Final = (
    Option(name="repeat", kind="int", metavar="K", help="Generations per case, overriding the suites."),
    Option(
        name="concurrency",
        kind="amount",
        default=32,
        metavar="N|auto",
        help="Requests in flight at once, at all replicas together; auto, or auto:MOST, lets the number follow what the"
        " server bears.",
    ),
    Option(
        name="judge-concurrency",
        kind="int",
        default=0,
        metavar="N",
        help="Requests in flight at once at each endpoint of judges; 0 for as many as --concurrency, 32 if it adapts.",
    ),
    Option(
        name="replicas",
        metavar="URL ...",
        default="",
        help="Further endpoints that serve the very model that --endpoint serves: requests go to the least busy healthy"
        " one.",
    ),
    Option(
        name="timeout",
        kind="float",
        default=600.0,
        metavar="S",
        help="Seconds that one answer may take, or one call of a check of your own.",
    ),
    Option(
        name="deadline",
        kind="float",
        default=0.0,
        metavar="S",
        help="Seconds from an answer's turn to its end, all attempts and waits together; 0 for no end.",
    ),
    Option(
        name="retries",
        kind="int",
        default=3,
        metavar="N",
        help="Further attempts after a failed request; 0 also waits for no rate limit.",
    ),
    Option(
        name="rpm",
        kind="int",
        default=0,
        metavar="N",
        help="Requests per minute that the model under test is asked at most; 0 for any number.",
    ),
    Option(
        name="tpm",
        kind="int",
        default=0,
        metavar="N",
        help="Tokens per minute, prompts and answers, that it is asked for at most; 0 for any number.",
    ),
    Option(
        name="shard",
        metavar="I/N",
        # In a file, it would turn every gate of the repository into a part that decides nothing.
        by_hand=True,
        help="Ask one of N parts of the cases, e.g. 2/8. Decides nothing and ends with 3: `llmgate merge` all parts.",
    ),
    Option(
        name="on",
        metavar="ray|ray://HOST:PORT",
        # In a file, whoever changes the repository could have prompts and the key sent to a cluster of theirs.
        by_hand=True,
        help="Ask from the nodes of a Ray cluster: the one that this machine is part of, or one that is named.",
    ),
    Option(
        name="cache",
        metavar="DIR",
        # In a file, CI would be answered out of it, too.
        by_hand=True,
        help="Keep answers here, and take those that the same server gave to the same request. For work on suites: no"
        " verdict that rests on one is PASS.",
    ),
    Option(name="no-bench", kind="flag", default=False, help="Skip the serving measurements that suites ask for."),
)
FILES: Final = (
    Option(
        name="allow-outside",
        metavar="DIR ...",
        default="",
        by_hand=True,
        help="Folders outside the project whose files suites and datasets may name; by hand only, in no file.",
    ),
    Option(
        name="allow-key-over-http",
        kind="flag",
        default=False,
        help="Send keys over plain http to other hosts too, which everyone on the way can read.",
    ),
    Option(
        name="trust-weights-cache",
        kind="flag",
        default=False,
        # In a file, whoever changes the repository could have CI believe what an earlier job left in the cache.
        by_hand=True,
        help="Believe digests of weights from earlier runs in CI, too, and where a verdict is signed.",
    ),
)
