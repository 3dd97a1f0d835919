"""Image algebra: tar, gzip, layer, config, manifest, index, layout files, and their validation.

Pure: bytes come and go through streams that are passed in; nothing here opens a file, asks the
time or reads the environment.  Equal arguments give equal bytes, on any machine.
Start with `layer.py`, then `image.py`.
"""
