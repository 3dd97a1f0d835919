"""One module for each benchmark: `run(options)` gives its tables."""
