"""Judges on trial: labels → questions → admission record; and sheets of answers for people to label.

What the figures have to be is the gate's to say, not decided here.
"""
