"""Judges on trial: labels → questions → admission record."""
