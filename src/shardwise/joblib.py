"""joblib on any engine: ``import shardwise.joblib`` makes ``joblib.parallel_config("shardwise")`` known.

joblib looks for no plugins: a backend is there once somebody has registered it.

Examples
--------
>>> import joblib, shardwise.joblib
>>> with joblib.parallel_config("shardwise", engine="local", n_jobs=2):
...     joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(5))
[0, 1, 4, 9, 16]
"""

from __future__ import annotations

from joblib.parallel import register_parallel_backend

from shardwise.api.joblib_backend import ShardwiseBackend as ShardwiseBackend

NAME = "shardwise"


def register() -> None:
    """Make the backend known to joblib; importing this module has done it."""
    register_parallel_backend(NAME, ShardwiseBackend)


register()
