"""Trees to measure on: the same seed and sizes give the same bytes, and a tree is made once."""
