"""The model under test, and the server that llmgate starts for it."""

from __future__ import annotations

from typing import Final

from llmgate.session.options.option import Option

__all__ = ["ENGINE", "MODEL", "SERVER"]

MODEL: Final = (
    Option(
        name="model",
        metavar="PLACE",
        help="A folder, hf://OWNER/NAME@COMMIT, models:/NAME/VERSION, runs:/…, s3://… or gs://…; llmgate starts vLLM"
        " for it and ends it afterwards.",
    ),
    Option(
        name="adapter",
        metavar="NAME=PLACE ...",
        default="",
        help='LoRA adapters that are served on --model, e.g. "new=DIR old=models:/NAME/7"; --served-name says which is'
        " asked.",
    ),
    Option(
        name="champion-adapter",
        metavar="NAME",
        help="The adapter in production: asked on the same server, into a record of its own, and compared with.",
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
    Option(
        name="stall-timeout",
        kind="float",
        default=60.0,
        metavar="S",
        help="Seconds until a started server that neither makes progress nor computes counts as hung; 0: never.",
    ),
)
ENGINE: Final = (
    Option(
        name="tensor-parallel-size",
        kind="int",
        metavar="N",
        help="GPUs over which each layer is spread. For the server of a judge, too, as the next two.",
    ),
    Option(name="pipeline-parallel-size", kind="int", metavar="N", help="Groups of GPUs over which layers are spread."),
    Option(name="data-parallel-size", kind="int", metavar="N", help="Copies of the model behind the server's address."),
    Option(
        name="gpu-memory-utilization",
        kind="float",
        metavar="F",
        help="Share of a GPU's memory that vLLM takes, for the server of a judge, too. Default: vLLM's own.",
    ),
    Option(
        name="max-model-len",
        kind="int",
        metavar="N",
        help="Tokens of a prompt and its answer together. Default: the model's own; 2048 on a CPU.",
    ),
    Option(name="dtype", metavar="NAME", help="Number type that is computed in, e.g. bfloat16. Default: the model's."),
    Option(name="quantization", metavar="NAME", help="How weights are quantised, as vLLM calls it, e.g. fp8."),
    Option(
        name="speculative-config",
        metavar="DIR|JSON",
        help="Speculative decoding: a draft model, with --speculative-tokens; or vLLM's JSON.",
    ),
    Option(
        name="speculative-tokens",
        kind="int",
        metavar="K",
        help="Tokens that the draft model of --speculative-config proposes at once.",
    ),
    Option(
        name="chat-template",
        metavar="FILE",
        help="Jinja template of prompts, in place of the model's own. Its content is part of the run's identity.",
    ),
    Option(
        name="tool-call-parser",
        metavar="NAME",
        help="How vLLM reads tool calls from answers, e.g. hermes; lets the model choose tools.",
    ),
    Option(
        name="reasoning-parser",
        metavar="NAME",
        help="How vLLM tells reasoning from answers, e.g. qwen3.",
    ),
)
