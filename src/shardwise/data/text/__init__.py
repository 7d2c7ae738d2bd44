"""CSV and NDJSON files as sources."""

from shardwise.data.text.csv_source import CsvSource
from shardwise.data.text.ndjson_source import NdjsonSource
from shardwise.data.text.read_csv import read_csv
from shardwise.data.text.read_ndjson import read_ndjson

__all__ = ["CsvSource", "NdjsonSource", "read_csv", "read_ndjson"]
