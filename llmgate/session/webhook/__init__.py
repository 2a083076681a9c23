"""`llmgate webhook`: a small server that gates what is new in a registry, and says when an alias moved past the gate.

service        puts all of it together, and ends it without leaving anything behind
http           deliveries in, answers out; hands on what was signed and is new
runs           the queue, and one gate run after another (process: one child and all that comes from it)
notes          how far a run is, written on its version
catch_up       new versions that no event told of
watch          aliases against the server's ledger (alarm: telling somebody); `check` does it once
memory         what a restart has to know
"""
