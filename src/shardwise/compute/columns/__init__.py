"""States of aggregates without keys, made by NumPy in one pass over Arrow columns: the same bytes as by SQL."""
