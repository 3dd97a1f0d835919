"""A client of OCI registries: references, credentials, patience, manifests and blobs.

`client.py` is the one door to the network; what is sent, and in which order, is decided by those
who use it.  Source: OCI distribution-spec v1.1.
"""
