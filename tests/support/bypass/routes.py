"""Every route of MLflow's server that changes something: tried in the table, or harmless for a reason."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HARMLESS", "LISTING", "TRIED", "place_of"]

DOOR: Final = re.compile(r"^/?(?:(?:ajax-)?api/\d\.\d/?)?")
TRIED: Final = (
    "mlflow/registered-models/(?:alias|create|delete|delete-tag|rename|set-tag)",
    "mlflow/model-versions/(?:create|delete|delete-tag|set-tag|transition-stage|update)",
    "mlflow/workspaces(?:/.+)?",
    "mlflow-artifacts/artifacts/.+",
    "mlflow/upload-artifact",
    "graphql",
)
"""Patterns of the routes that rows try."""
HARMLESS: Final = {
    "mlflow/registered-models/update": "a description",
    "mlflow/registered-models/get-latest-versions": "reads",
    "mlflow-artifacts/mpu/.+|mlflow/artifacts/presigned-.+": "bytes of artifacts, as those that rows exchange; buckets only",
    "mlflow/logged-models.*|mlflow/runs/.+|mlflow/experiments/.+": "a version keeps the source it was registered with",
    "mlflow/datasets/.+|mlflow/label-schemas/.+|mlflow/review-queues/.+|mlflow/issues.*": "evaluation data",
    "mlflow/(?:traces|ui-telemetry).*|v1/traces": "traces",
    "mlflow/scorers/.+|mlflow/(?:scorer|genai/evaluate)/invoke": "jobs and their settings; see the limits",
    "mlflow/prompt-optimization/.+|mlflow/jobs/.+|jobs/.*": "jobs; see the limits",
    "mlflow/assistant/.+": "an assistant that runs as the server's user, for callers on its machine; see the limits",
    "mlflow/gateway.*|gateway/.+": "calls of language models",
    "mlflow/mcp-servers.*": "a registry of another kind, with aliases of its own",
    "mlflow/webhooks.*": "told after the write",
    "mlflow/demo/.+": "data of names that MLflow chooses",
}
"""Patterns of the routes that cannot change what a protected alias means, with why."""
LISTING: Final = """
import json
import warnings
warnings.simplefilter("ignore")
from mlflow.server import app
from mlflow.server.fastapi_app import app as outer

def found():
    for rule in app.url_map.iter_rules():
        yield rule.rule, rule.methods
    for route in outer.routes:
        if getattr(route, "methods", None):
            yield route.path, route.methods
        for inner in getattr(getattr(route, "original_router", route), "routes", None) or ():
            yield getattr(inner, "path", ""), getattr(inner, "methods", None) or ()

writing = {path for path, methods in found() if set(methods) - {"GET", "HEAD", "OPTIONS"}}
print(json.dumps(sorted(writing)))
"""
"""A program that prints the paths that take anything but GET."""


def place_of(path: str) -> str | None:
    """`tried`, or why it is harmless; None if nobody has looked at it yet."""
    path = DOOR.sub("", path)
    if any(re.fullmatch(pattern, path) for pattern in TRIED):
        return "tried"
    return next((why for pattern, why in HARMLESS.items() if re.fullmatch(pattern, path)), None)
