"""The calibration of the gate, told: its tables for the terminal, as Markdown and as JSON, and its page with drawings.

Nothing is simulated or judged here; that is `gate.calibration`.
"""
