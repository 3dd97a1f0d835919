"""Trials of real images: a tiny static program in Docker, bubblewrap and by unshare(2)."""
