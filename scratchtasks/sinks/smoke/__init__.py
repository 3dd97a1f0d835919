"""Trying a finished image out: in a Docker Engine, or in namespaces of its own without one.

`verdict.py` decides where and remembers; `trial.py` is what is run and what counts as success;
`engine.py` runs it in Docker, `namespace.py` without; `root.py` unpacks a private copy for that,
into a folder of `private.py`; `qemu.py` finds an emulator for other architectures.
`guard.py` and `enter.py` are programs of their own, which import nothing of scratchtasks.
"""
