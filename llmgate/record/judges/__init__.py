"""Who judges, what judges said on trial, and what admitted them: types and their files."""
