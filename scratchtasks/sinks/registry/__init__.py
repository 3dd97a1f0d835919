"""Push images to OCI registries: a plan first, then blobs, manifests by digest, and tags last.

Start with `plan.py` (what a registry lacks) and `push.py` (how that gets there); `client.py` is
the one door to the network.  Source: OCI distribution-spec v1.1.
"""
