"""A stand-in for vLLM: its folder goes on PYTHONPATH in front of the real one."""
