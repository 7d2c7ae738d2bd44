"""How an attempt names a file before it is published."""

from __future__ import annotations

UNFINISHED = ".tmp"

PROBE = "probe.json"
"""In a run directory on a remote store: what the probe of that store found."""

HELLO = "hello-"
"""Among attempts, what a driver and the hosts that a cluster lends put there, to see that they mean the same place."""

PROBES = "_probe"
"""Directory of the files of probes under way."""


def attempt_name(name: str, publish: str = "") -> str:
    """Name, in the attempt's directory, of the file of an output.

    A part of the person's output directory has a suffix until it is published, so that no reader's ``**/*.parquet``
    matches it; other files keep their names.

    Examples
    --------
    >>> attempt_name("part-00003.parquet", publish="part-00003.parquet")
    'part-00003.parquet.tmp'
    >>> attempt_name("rows.arrow")
    'rows.arrow'
    """
    return name + UNFINISHED if publish else name
