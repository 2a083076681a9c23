"""Registries that are not MLflow: SageMaker, Unity Catalog, Vertex AI, W&B, the Hugging Face Hub.

All of it is client-side: it checks, explains and acts, and blocks nobody who acts by other means. What would make it a
block in each of them stands in `docs/registries.md`.
"""
