"""The model under test, and the server that llmgate starts for it."""

from __future__ import annotations

from typing import Final

from llmgate.session.options.option import Option

__all__ = ["MODEL", "SERVER"]

MODEL: Final = (
    Option(
        name="model",
        metavar="MODEL",
        help="A folder, hf://OWNER/NAME@COMMIT, models:/NAME/VERSION, runs:/…, s3://… or gs://…; llmgate starts vLLM"
        " for it and ends it afterwards.",
    ),
    Option(
        name="endpoint",
        metavar="URL",
        help="OpenAI-compatible endpoint that is already running, instead of --model.",
    ),
    Option(
        name="served-name",
        metavar="NAME",
        help="Model name in requests, believed where the endpoint lists none. Default: what it lists, or the folder's.",
    ),
    Option(
        name="deployment",
        metavar="LABEL",
        help="What --endpoint serves now, in your words, e.g. v7: tells apart models that one address serves in turn.",
    ),
    Option(
        name="api-key-env",
        metavar="VAR",
        default="LLMGATE_API_KEY",
        help="Environment variable that holds the endpoint's key; api.openai.com alone also gets OPENAI_API_KEY.",
    ),
    Option(
        name="reply-names",
        metavar="NAME ...",
        default="",
        help="Further names by which replies may call the models that are asked, e.g. behind an Azure deployment.",
    ),
    Option(
        name="finish-reasons",
        metavar="NAME ...",
        default="",
        help="Further finish reasons by which --endpoint says that an answer is complete; `null` if it names none.",
    ),
)
SERVER: Final = (
    Option(
        name="server-args",
        metavar="ARGS",
        default="",
        help='Flags passed to vLLM untouched, e.g. "--tensor-parallel-size 2".',
    ),
    Option(
        name="server-python",
        metavar="EXE",
        help="Python that has vLLM installed. Default: the one running llmgate.",
    ),
    Option(name="port", kind="int", metavar="N", help="Port of the started server. Default: a free one."),
    Option(
        name="startup-timeout",
        kind="float",
        default=1800.0,
        metavar="S",
        help="Seconds that vLLM may take to start.",
    ),
)
