"""Every registry that this environment opens is gated, or the process ends.

MLflow turns an entry point that cannot be imported into a warning, and opens the registry without it. So this module
imports nothing, and whatever is wrong is found inside of the functions, where it ends the process.
"""

__all__ = ["no_registry", "registry", "workspaces"]


def registry(store_uri):  # type: ignore[no-untyped-def]
    """The gated registry store of a database's plain URI.

    Raises:
        SystemExit: On anything that is wrong. MLflow's server then does not start.
    """
    try:
        from llmgate.mlflow_server.entry import build_plain  # noqa: PLC0415 - see above
    except Exception as error:
        raise SystemExit(f"llmgate: the registry is not opened: {error}") from error
    return build_plain(store_uri)


def workspaces(workspace_uri):  # type: ignore[no-untyped-def]
    """The guarded workspace store of a plain URI.

    Raises:
        SystemExit: On anything that is wrong.
    """
    try:
        from llmgate.mlflow_server.entry import build_plain_workspaces  # noqa: PLC0415 - see above
    except Exception as error:
        raise SystemExit(f"llmgate: the workspaces are not opened: {error}") from error
    return build_plain_workspaces(workspace_uri)


def no_registry(store_uri):  # type: ignore[no-untyped-def]
    """Registries of a kind that cannot be gated.

    Raises:
        SystemExit: Always.
    """
    scheme = store_uri.partition(":")[0]
    raise SystemExit(
        f"llmgate: the registry is not opened: a {scheme} registry cannot be gated. "
        "Use sqlite, postgresql, mysql or mssql"
    )


# By this the registry's builder sees that deleting a workspace is guarded as well.
workspaces.llmgate_guard = True  # type: ignore[attr-defined]
