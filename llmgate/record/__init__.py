"""The hinge: what measuring writes and deciding reads. Types here; files in `run`, `judges` and `results`.

Nothing here asks a model, and nothing averages or decides.
"""
