"""Prompts from MLflow's prompt registry: `prompts:/NAME/VERSION`.

An alias such as `prompts:/name@production` can come to mean another prompt between two runs, so it is refused, with the
version that it means now. Only the messages are taken; a model or a response format that the registry keeps beside them
belongs into the suite, so a prompt that has one is refused rather than half obeyed.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

from llmgate.errors import LlmgateError, SuiteError
from llmgate.suite.data.mlflow import asking
from llmgate.suite.prompt.file import KeptMessage, KeptPrompt, written_role

__all__ = ["SCHEME", "read_registered_prompt"]

SCHEME: Final = "prompts:/"
PINNED: Final = re.compile(r"prompts:/+([^/@\s]+)/([1-9][0-9]{0,8})")
ALIAS: Final = re.compile(r"prompts:/+([^/@\s]+)@([^/@\s]+)")


def read_registered_prompt(uri: str, *, where: str) -> KeptPrompt:
    """Fetch a prompt.

    Args:
        uri: `prompts:/NAME/VERSION`.
        where: Where the suite names it.

    Raises:
        SuiteError: If it is not pinned, cannot be had, or holds what a suite has to say itself.
    """
    match = PINNED.fullmatch(uri)
    if match is None:
        raise SuiteError(f"the prompt {uri!r} is not pinned to a version", where=where, fix=_advice(uri, where))
    name, version = match.groups()
    with asking(f"{where}: {uri}", SuiteError):
        from mlflow import MlflowClient  # noqa: PLC0415 - an extra, seconds to import

        prompt = MlflowClient().get_prompt_version(name, version)
        template = prompt.template
        settings = [what for what in ("response_format", "model_config") if getattr(prompt, what, None)]
    if settings:
        raise SuiteError(
            f"the prompt {uri} carries a {settings[0]}, which a suite says itself",
            where=where,
            fix="Register the prompt without it, and write `sampling:` in the suite",
        )
    return KeptPrompt(
        name=uri,
        version=version,
        digest=hashlib.sha256(json.dumps(template, sort_keys=True, allow_nan=False).encode()).hexdigest(),
        messages=tuple(_messages(template, uri, where)),
    )


def _messages(template: Any, uri: str, where: str) -> list[KeptMessage]:
    written = [{"role": "user", "content": template}] if isinstance(template, str) else template
    messages = []
    place = f"{where}: {uri}"
    for message in written if isinstance(written, list) else []:
        fields = message if isinstance(message, dict) else {}
        role, content = written_role(fields.get("role"), place), fields.get("content")
        if not isinstance(content, str):
            raise SuiteError(f"a {role} message is no text", where=place, fix="Register text messages")
        messages.append(KeptMessage(role=role, content=content, where=place))
    if not messages:
        raise SuiteError(f"{uri} has no messages", where=where, fix="Register a prompt with text")
    return messages


def _advice(uri: str, where: str) -> str:
    match = ALIAS.fullmatch(uri)
    if match is None:
        return "Write prompts:/NAME/VERSION"
    name, alias = match.groups()
    try:
        with asking(where, SuiteError):
            from mlflow import MlflowClient  # noqa: PLC0415 - an extra, seconds to import

            prompt = MlflowClient().get_prompt_version_by_alias(name, alias)
            return f"{alias!r} means version {prompt.version} now: write prompts:/{name}/{prompt.version}"
    except LlmgateError:
        return f"Aliases move: write the version that {alias!r} means, prompts:/{name}/VERSION"
