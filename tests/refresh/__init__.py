"""Refresh: what is new, what it means, and whether it is taken."""
