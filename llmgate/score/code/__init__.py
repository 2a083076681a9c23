"""`code-executes`: code that a model wrote, run in a sandbox.

The only place that runs such code, and only where the environment allows it.
"""
