"""MLflow's model registry with a lock: what a policy protects moves only by a signed verdict.

Loaded inside a database server, so it imports no model, no statistics, no test runner and no command line. `entry` is
what MLflow finds by its entry points; it imports the rest only when a store is built.
"""
