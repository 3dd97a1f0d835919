"""Disk: the content store, the action cache and the stat cache that keeps both honest.

Start with `files.py` (what a file holds, near the cost of a stat), then `blobs.py` (bytes by
their digest), `actions.py` (what was made from what) and `collect.py` (what may go).
Everything here can be deleted: it loses time, never correctness.
"""
