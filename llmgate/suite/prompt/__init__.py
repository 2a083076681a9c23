"""Prompts: from entries of a suite, files, MLflow or a row's conversation to the messages of a request.

Whether a prompt gives test rows away is looked for here too. Nothing here knows a whole suite.
"""
