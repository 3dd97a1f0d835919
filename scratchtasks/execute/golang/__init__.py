"""Go binaries: `go list` tells exactly what one is made of, one `go build` makes many.

Start with `list.py`; `build.py` builds what it found, `headstart.py` before anything was found.
"""
