"""Registries: what a verdict allows to change, and where gate runs are kept.

A new registry is a module here with a class that meets `target.Registry`, and a branch in `registries.open_registry`.
What may be promoted is decided in `permission` (with `version_binding` and `succession`), for every registry alike, and
nowhere else.
"""
