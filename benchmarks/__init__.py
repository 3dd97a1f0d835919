"""What scratchtasks costs, measured against its floors and its peers.

`python -m benchmarks --list` names the benchmarks; `docs/performance.md` shows what they gave.
Every table compares whole processes as a user starts them, in interleaved runs on one tree, and
believes no time before the output was found right.
"""
