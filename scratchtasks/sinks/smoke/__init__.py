"""Trying a finished image out: in a Docker Engine, or in namespaces of its own without one.

`verdict.py` decides where and remembers; `trial.py` is what is run and what counts as success;
`structure.py` matches container-structure-test's files, on what `contents.py` reads of an image;
`engine.py` runs trials in Docker, where `leftovers.py` removes what killed runs have left behind;
`namespace.py` runs them without: on what `tree.py` describes and bubblewrap or `tmpfs.py` puts
together in memory, or on the private copy that `root.py` unpacks into a folder of `private.py`;
`qemu.py` finds an emulator for other architectures.
`guard.py` and `enter.py` are programs of their own.  `enter.py` imports nothing of scratchtasks,
the guard `sandbox.py`, `probe.py` and, where it plants a tree, `tmpfs.py`.
"""
