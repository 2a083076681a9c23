"""Prompts: from entries in a suite, files, MLflow or conversations to the messages of a request."""
