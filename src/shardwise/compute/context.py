"""What a user's function may ask for by a parameter ``ctx: sw.Context``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class BatchPosition:
    """Where a batch stands: the fragment's (file's) number and name, and the batch's number in it."""

    fragment: int
    index: int
    source: str


@dataclass(slots=True)
class Context:
    """Seeded randomness, a log and the position, for functions given to ``map`` and ``map_items``.

    Attributes
    ----------
    batch : BatchPosition
        The batch that is being processed.
    log : callable
        ``ctx.log("text")`` keeps a line for ``shardwise logs``.

    Examples
    --------
    >>> import shardwise as sw, numpy as np
    >>> def jitter(a: np.ndarray, ctx: sw.Context) -> np.ndarray:
    ...     return a + ctx.rng.random(a.shape)
    >>> once = sw.from_array(np.zeros(4)).map(jitter).collect().run().to_numpy()
    >>> again = sw.from_array(np.zeros(4)).map(jitter).collect().run(workers=2).to_numpy()
    >>> bool((once == again).all())
    True
    """

    batch: BatchPosition
    log: Callable[[str], None]
    _seed: int = 0
    _rng: np.random.Generator | None = None

    @property
    def rng(self) -> np.random.Generator:
        """A NumPy generator seeded by (seed, position of the batch): the same wherever and whenever it runs."""
        if self._rng is None:
            import numpy as np

            key = (self.batch.fragment, self.batch.index)
            self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._seed, spawn_key=key)))
        return self._rng
