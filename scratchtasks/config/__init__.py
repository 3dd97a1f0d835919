"""TOML text becomes checked values; every fault of a file is reported at once, with its TOML path.

Pure: callers read the files.  Start with `service.py`, the field table of service.toml; `fields.py`
is the toolkit below it, and `reference.py` prints the same tables, so the manual cannot drift.
"""
