"""`evaluate_assert(s)` for code: arguments made into cases, and async made blocking.

Nothing of the gate imports it; it is a door of its own.
"""
