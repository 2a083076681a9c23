"""promptfoo's configurations: `config` reads a whole one, the others its parts."""
