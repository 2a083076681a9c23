"""One run's options, typed and checked: command line over pyproject.toml over defaults."""
