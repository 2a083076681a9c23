"""What MLflow finds by its entry points: the schemes of a gated registry.

Imported by every process that asks MLflow for a registry, so nothing is imported here that such a process would not
import by itself; and an import that fails here would only be a warning, and an open registry.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEME", "build", "build_plain", "build_plain_workspaces", "build_workspaces"]

SCHEME = "llmgate:"


def build(store_uri: str, **_: Any) -> Any:
    """The gated registry store of `llmgate:URI`.

    Raises:
        SystemExit: On anything that is wrong. MLflow's server then does not start.
    """
    return build_plain(store_uri.removeprefix(SCHEME))


def build_plain(store_uri: str, **_: Any) -> Any:
    """The gated registry store of a plain URI, for an environment in which no registry may be open.

    Raises:
        SystemExit: On anything that is wrong.
    """
    return opened("registry_store", store_uri)


def build_workspaces(workspace_uri: str) -> Any:
    """The guarded workspace store of `llmgate:URI`.

    Raises:
        SystemExit: On anything that is wrong.
    """
    return build_plain_workspaces(workspace_uri.removeprefix(SCHEME))


def build_plain_workspaces(workspace_uri: str) -> Any:
    """The guarded workspace store of a plain URI.

    Raises:
        SystemExit: On anything that is wrong.
    """
    return opened("workspace_store", workspace_uri)


def opened(store: str, uri: str) -> Any:
    """A store by the name of its builder; one sentence for whoever starts the server if there is none."""
    try:
        # Here and not above: see the module's docstring.
        from llmgate.mlflow_server import build as builders  # noqa: PLC0415

        return getattr(builders, store)(uri)
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise SystemExit(f"llmgate: the registry is not opened: {said}") from error


# By this the registry's builder sees that deleting a workspace is guarded as well.
build_workspaces.llmgate_guard = True  # type: ignore[attr-defined]
build_plain_workspaces.llmgate_guard = True  # type: ignore[attr-defined]
