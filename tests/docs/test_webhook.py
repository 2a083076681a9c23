"""docs/webhook.md says what the command does: its options exist, its examples start, its limits are those of the code."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from llmgate.cli.release.webhook import webhook
from llmgate.promote.webhook.command import PLACEHOLDERS, command_template
from llmgate.promote.webhook.signature import MAX_AGE_S, MAX_AHEAD_S
from llmgate.session.webhook import http, process, runs, settings, watch

PAGE = (Path(__file__).parents[2] / "docs" / "webhook.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if holding in text]
    assert len(found) == 1
    return str(found[0])


def parsed(args: list[str]) -> dict[str, object]:
    with click.Context(webhook) as context:
        webhook.parse_args(context, args)
        return dict(context.params)


def test_every_option_that_it_names_exists() -> None:
    known = {option for parameter in webhook.params for option in parameter.opts if option.startswith("--")}
    ours = re.sub(r"(?m)^.*(?:mlflow server|mlflow artifacts|llmgate run|openssl).*$", "", PAGE)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours)) - {"--out"}
    assert named <= known
    assert known - named <= {"--port", "--mlflow-uri"}


def test_its_placeholders_are_those_that_there_are() -> None:
    table = PAGE.partition("| placeholder |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`\{(\w+)\}`", table)) == set(PLACEHOLDERS)


@pytest.mark.parametrize("kind", ["shell", "unit", "compose"])
def test_its_examples_start(kind: str) -> None:
    if kind == "shell":
        text = block("sh", "openssl").replace("\\\n", " ")
        argv = shlex.split(text.partition("llmgate webhook ")[2])
    elif kind == "unit":
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(block("ini", "ExecStart").replace("\\\n", " "))
        assert unit["Service"]["KillMode"] == "mixed"
        argv = shlex.split(unit["Service"]["ExecStart"])[2:]
    else:
        argv = yaml.safe_load(block("yaml", "services"))["services"]["gate"]["command"][2:]
    params = parsed(argv)
    assert params["secret_env"] == ("LLMGATE_WEBHOOK_SECRET",)
    words = params["words"]
    assert isinstance(words, tuple)
    template = command_template(None, words)
    assert template is not None
    assert template.arguments[1:] == ("{version_uri}", "{run_folder}")


def test_its_figures_are_those_of_the_code() -> None:
    for text in (
        f"at most {MAX_AGE_S // 60} minutes old and not in the future ({MAX_AHEAD_S} seconds are allowed)",
        f"at most {http.MAX_BODY_BYTES // 1_000_000} MB and comes within {http.BODY_S:.0f} seconds",
        f"At most {http.MOST_CONNECTIONS} connections",
        f"at least {settings.SHORTEST_SECRET} characters",
        f"the newest {runs.KEPT_RUNS} are kept",
        f"more than {process.MAX_LOG_BYTES // 1_000_000} MB",
    ):
        assert text in PAGE
    assert (runs.MOST_STARTS, watch.AGAIN_S) == (3, 3600)
