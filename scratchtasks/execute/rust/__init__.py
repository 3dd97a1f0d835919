"""Cargo: `metadata.py` finds out what a crate is made of, `build.py` compiles many at once."""
