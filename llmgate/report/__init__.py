"""Records and decisions in words, for people and CI systems. Nothing is decided here.

`view.build_view` says everything once, in the rows of `rows`: `panels` words each part of the page, and `formats`
give the whole one form each. `terminal` and `calibration` word what else is printed.
"""
