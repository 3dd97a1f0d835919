"""The finished images, run and taken apart by the tools of others."""
