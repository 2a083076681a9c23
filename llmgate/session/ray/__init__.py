"""Asking from the nodes of a Ray cluster; the record is written here, by one process, as answers arrive.

Ray is an extra, and imported when somebody names a cluster. `task` is what runs on nodes, `cluster` knows Ray, `chat`
spreads what is asked and knows nothing of it, `hosts` starts vLLM on nodes.
"""
