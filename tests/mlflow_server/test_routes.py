"""Every writing route of the installed MLflow's server, and what it can do to a protected model."""

from __future__ import annotations

import re
from typing import Final

import pytest

from llmgate.mlflow_quiet import quiet
from llmgate.mlflow_server.guard import Gate
from llmgate.mlflow_server.workspaces import DatabaseWorkspaces

GUARDED: Final = {
    "registered-models/alias": ("set_registered_model_alias", "delete_registered_model_alias"),
    "registered-models/create": ("create_registered_model",),
    "registered-models/delete": ("delete_registered_model",),
    "registered-models/delete-tag": ("delete_registered_model_tag",),
    "registered-models/rename": ("rename_registered_model",),
    "registered-models/set-tag": ("set_registered_model_tag",),
    "model-versions/create": ("create_model_version",),
    "model-versions/delete": ("delete_model_version",),
    "model-versions/delete-tag": ("delete_model_version_tag",),
    "model-versions/set-tag": ("set_model_version_tag",),
    "model-versions/transition-stage": ("transition_model_version_stage",),
    "workspaces/_": ("delete_workspace", "update_workspace"),
}
"""By these an alias or a stage could change its meaning; the methods that refuse it."""
ELSEWHERE: Final = {
    "registered-models/update": "a description",
    "registered-models/get-latest-versions": "reads",
    "model-versions/update": "a description",
    "workspaces": "makes an empty workspace",
    "webhooks(/.*)?": "tells others of what happened; changes no model",
    "(experiments|runs|traces|assessments|datasets|issues|label-schemas|review-queues|ui-telemetry)(/.*)?": "tracking",
    "logged-models(/.*)?": "tracking: a version keeps its source, and its bytes are what `llmgate verify` is for",
    "scorers/.*": "tracking",
    "gateway(/.*|-proxy)": "keys and endpoints of other models",
    "mcp-servers(/.*)?": "a registry of its own, of MCP servers; its aliases are not those of models",
    "demo/(generate|delete)": "prompts, traces and experiments of MLflow's demo, through this process's gated store",
    "graphql": "reads only",
    "otel": "tracking",
}
"""These do not reach a registered model."""
LIMITS: Final = {
    "artifacts/_|mpu/.*|artifacts/presigned-(up|down)load-url|upload-artifact": (
        "bytes under a version can be exchanged; `llmgate verify` notices before they are served"
    ),
    "(jobs|prompt-optimization|genai|issues|scorer)(/.*)?": (
        "jobs get the backend's URI and register prompts; with pytest-llmgate-server installed they are gated as well"
    ),
    "assistant/.*": "runs commands on the server's machine for who sits at it; such a user is above the gate",
}
"""Documented limits."""


@pytest.fixture(scope="module")
def routes() -> dict[str, set[str]]:
    """What can be asked for with other methods than GET, without prefixes and parameters."""
    with quiet():
        from mlflow.server import app
        from mlflow.server.fastapi_app import create_fastapi_app

        flask = [(rule.rule, rule.methods or set()) for rule in app.url_map.iter_rules()]
        fast = [
            (getattr(route, "path", ""), getattr(route, "methods", None) or set())
            for route in create_fastapi_app().routes
        ]
    found: dict[str, set[str]] = {}
    for path, methods in [*flask, *fast]:
        if writing := set(methods) - {"GET", "HEAD", "OPTIONS"}:
            found.setdefault(plain(path), set()).update(writing)
    return found


def plain(path: str) -> str:
    """`/api/2.0/mlflow/workspaces/<name>` as `workspaces/_`."""
    named = re.sub(r"[<{][^>}]*[>}]", "_", path)
    short = re.sub(r"^/(ajax-)?api/\d\.\d/?", "/", named)
    short = re.sub(r"^/(mlflow-artifacts|mlflow)/", "/", short).strip("/")
    return "otel" if short == "v1/traces" else short


def test_every_writing_route_is_guarded_harmless_or_a_documented_limit(routes: dict[str, set[str]]) -> None:
    assert len(routes) > 100
    patterns = [*map(re.escape, GUARDED), *ELSEWHERE, *LIMITS]
    unknown = {path for path in routes if not any(re.fullmatch(pattern, path) for pattern in patterns)}
    assert unknown == set(), "new routes: guard what they call, or say here what they cannot do"
    assert set(GUARDED) <= routes.keys()


def test_every_guarded_route_has_its_method() -> None:
    guards = vars(Gate).keys() | vars(DatabaseWorkspaces).keys()
    assert {method for methods in GUARDED.values() for method in methods} <= guards


def test_graphql_changes_nothing_in_a_registry() -> None:
    with quiet():
        from mlflow.server.graphql.graphql_schema_extensions import schema

    written = schema.graphql_schema.mutation_type
    mutations = set(written.fields) if written is not None else set()
    assert not {name for name in mutations if re.search("model|alias|registr", name, re.IGNORECASE)}
