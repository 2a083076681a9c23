"""Records and decisions for people and CI systems.

`view.build_view` says everything in words; `html`, `markdown`, `terminal` and `github` each give it one form.
"""
