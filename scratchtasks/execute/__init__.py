"""One action at a time: key → hit, or run it and remember what it read; always says why.

Start with `operation.py` (what an operation is) and `engine.py` (how one is decided and run).
"""
