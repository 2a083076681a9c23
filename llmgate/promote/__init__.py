"""Registries: what a verdict allows to change."""
