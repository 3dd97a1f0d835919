"""The doit bridge: workspace, loader, backend, reporter, commands; the only composition root.

Only this room imports doit, and only it reads the environment (`workspace.py`).
Start with `loader.py`, which is what doit calls.
"""
