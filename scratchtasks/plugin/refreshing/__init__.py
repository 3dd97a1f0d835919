"""`doit refresh` and `doit pins` put together: pins, upstream, contents and images of a session."""
