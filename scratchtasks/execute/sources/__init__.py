"""Roots, zones and files that are neither in the repository nor on PyPI, pinned and fetched.

One module per kind of source: `image.py`, `debian.py`, `machine.py`.  `fetch.py` gives the pinned
bytes or says why not; `resolve.py` says what would be pinned now.  Those that speak to a network
are imported where that is about to happen.
"""
