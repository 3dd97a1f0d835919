"""Where images go: an OCI layout on disk, and the summary that lists them all.

Each sink is one file, knows nothing of the others, and sends only what the other side lacks.
Start with `layout.py`.
"""
