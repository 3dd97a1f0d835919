"""One file per rule: a target's declaration becomes Actions.  Pure: nothing is read or run.

A rule says *what* is to be done (an op and its params); `execute/` knows how.  Start with
`go_binary.py`; which rule a target is for, `analysis.py` says.
"""
