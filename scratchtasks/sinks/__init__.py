"""Where images go: an OCI layout on disk, a Docker Engine, registries; and trying them out.

Each sink sends only what the other side lacks, and knows nothing of the others; but `smoke/`
loads through `docker/`.  Start with `layout.py`; `summary.py` lists all images.
"""
