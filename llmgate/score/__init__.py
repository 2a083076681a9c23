"""An answer becomes scores: assert types, by what they read, and what reads, asks and combines them.

`builtin` lists every type, `vocabulary` reads asserts, `execute` applies those of a case. Nothing here averages over
cases, knows HTTP, or imports what decides.
"""
