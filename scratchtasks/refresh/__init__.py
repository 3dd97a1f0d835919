"""What is newer upstream, what it would change, and whether to take it; builds nothing.

Pure but for `upstream`: the plugin hands in what pinned wheels hold and how pip is run.
"""
