"""Shardwise beside its peers, in one run: ``python -m benchmarks``, or ``make bench`` with all peers installed."""
