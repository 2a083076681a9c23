"""Small programs that people wrote as checks, as syntax trees: what may stand in one, and nothing that runs it."""

__all__: list[str] = []
