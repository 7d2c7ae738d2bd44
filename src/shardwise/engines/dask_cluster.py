"""Which Dask client lends: the person's, or one of our own on a scheduler, or on a cluster of this machine."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from shardwise.errors import EngineError

if TYPE_CHECKING:
    import distributed


def connect(
    cluster: str | distributed.Client | None, slots: int, patience: float, ours: contextlib.ExitStack
) -> distributed.Client:
    """A client; what was started for it is closed with ``ours``. Without an address: a cluster on loopback."""
    import distributed

    if isinstance(cluster, distributed.Client):
        return cluster
    where: Any = cluster
    if where is None:
        where = ours.enter_context(
            distributed.LocalCluster(
                1,
                slots,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # None would take port 8787
                worker_dashboard_address="127.0.0.1:0",
                memory_limit=None,
                silence_logs=50,
            )
        )
    try:
        return ours.enter_context(distributed.Client(where, set_as_default=False, timeout=patience))
    except OSError as error:
        raise EngineError(f"no Dask scheduler answers at {where}: {error}", "see that it runs there") from error
