"""Every option once, for both doors. Only the standard library: pytest reads this in every run of the environment."""
