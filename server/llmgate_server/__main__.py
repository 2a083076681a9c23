"""`python -m llmgate_server`: whether this environment is closed. For the image's build and for its entry point."""

import sys
import warnings

KINDS = ("sqlite", "postgresql", "mysql", "mssql")


def main() -> int:
    """Ask MLflow itself which builders it would use; 0 if all are ours, else 1 and a sentence each."""
    # Late, so that whatever fails is told and not half a traceback of MLflow's.
    from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry  # noqa: PLC0415

    found = ModelRegistryStoreRegistry()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found.register_entrypoints()  # type: ignore[no-untyped-call]
    open_ones = [
        kind
        for kind in KINDS
        if getattr(found._registry.get(kind), "__module__", None) != "llmgate_server"  # noqa: SLF001
    ]
    for warning in caught:
        print(f"llmgate: {warning.message}", file=sys.stderr)  # noqa: T201
    for kind in open_ones:
        print(f"llmgate: a {kind} registry would be open. Reinstall pytest-llmgate-server", file=sys.stderr)  # noqa: T201
    if not open_ones:
        from llmgate.mlflow_server import build  # noqa: F401, PLC0415
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
