"""Push images to OCI registries: a plan first, then blobs, manifests by digest, and tags last.

Start with `plan.py` (what a registry lacks) and `push.py` (how that gets there).
"""
