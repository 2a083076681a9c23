"""The hinge: what measuring writes and deciding reads."""
