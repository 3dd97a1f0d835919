"""One module for each benchmark: `run_tables(options)` gives its tables."""
