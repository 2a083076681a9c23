"""The official clients, opened when the first test asks for one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.generate.client import Endpoint, RetryPolicy
from llmgate.session.reach.known_secrets import redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from llmgate.generate.official.clients import OfficialClients
    from llmgate.record.schema import Exchange
    from llmgate.session.run.tested import TestedModel
    from llmgate.session.settings.typed import Settings

__all__ = ["environment", "open_clients"]


def open_clients(
    settings: Settings, model: TestedModel, on_exchange: Callable[[str, Exchange], None], *, concurrency: int
) -> OfficialClients:
    """The clients of this process.

    Args:
        settings: The options.
        model: The model under test.
        on_exchange: Gets every request with the token of its case.
        concurrency: Requests in flight at most, in this process.

    Raises:
        UsageError: If the package openai is not installed.
    """
    try:
        from llmgate.generate.official.clients import OfficialClients
    except ImportError as error:
        raise UsageError(
            f"the official client cannot be had ({error})", fix="pip install 'pytest-llmgate[openai]'"
        ) from error
    if settings.limit:
        raise UsageError(
            "the requests of tests in code cannot be held to a rate limit",
            where="--rpm, --tpm",
            fix="Leave them out, and lower --concurrency",
        )
    return OfficialClients(
        endpoint_of(settings, model),
        concurrency=concurrency,
        on_exchange=on_exchange,
        retry=RetryPolicy(attempts=settings.retries + 1, timeout_s=settings.timeout),
        death=lambda: None,
        redact=redactor(settings),
    )


def endpoint_of(settings: Settings, model: TestedModel) -> Endpoint:
    """The model under test, with the key that belongs to it."""
    return Endpoint(
        url=model.url,
        model=model.model,
        api_key=settings.api_key if settings.endpoint else None,
        names=(*model.names, *settings.reply_names),
        finish_reasons=settings.finish_reasons,
    )


def environment(settings: Settings, model: TestedModel) -> Generator[dict[str, str], None, None]:
    """The variables by which other libraries find a model, set while the block lasts."""
    endpoint = endpoint_of(settings, model)
    # Clients refuse to start without a key, and a server of ours wants none.
    said = {
        "OPENAI_BASE_URL": endpoint.url,
        "OPENAI_API_KEY": endpoint.api_key or "none",
        "OPENAI_MODEL": endpoint.model,
    }
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    try:
        yield said
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
