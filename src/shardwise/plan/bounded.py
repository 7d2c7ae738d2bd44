"""Least squares with a few unknowns that are all at least 0, and what else they may have been.

The best unknowns: of each set of them that are not 0 the best values are one linear solution, and of the solutions that
are allowed the best is the answer. With three unknowns that is exact after seven small systems.

What else they may have been: draws from the multivariate t distribution of the problem *without* bounds (its
covariance, and as many degrees of freedom as measurements are left over). Quantiles of what is computed from the draws
are intervals; what is computed is brought within its bounds, not the draws: where the truth lies on a bound, draws that
were projected onto it covered it in 62 of 100 cases instead of 80. A bootstrap of residuals would be too sure of
itself, too: there are a handful of residuals, each shrunk by the fit.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from shardwise.plan.time_law import Floats

DRAWS = 1000


def least_squares(rows: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Solve ``rows @ unknowns = wanted`` as nearly as can be, with unknowns at least 0.

    Parameters
    ----------
    rows : ndarray, shape (measurements, unknowns)
    wanted : ndarray, shape (measurements,)

    Returns
    -------
    tuple of ndarray
        The unknowns, and ``DRAWS`` rows of what else they may have been, without bounds; no rows where no measurement
        is left over.

    References
    ----------
    G. A. F. Seber and A. J. Lee, "Linear Regression Analysis", 2nd ed., Wiley, 2003: section 3.8 (bounds), chapter 5
    (the t distribution of linear combinations).

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> unknowns, draws = least_squares(rows, np.array([2.0, -1.0, 2.0]))
    >>> unknowns.round(12).tolist(), len(draws)
    ([2.0, 0.0], 1000)
    """
    scale = np.linalg.norm(rows, axis=0)
    across, root = np.linalg.qr(rows / scale)
    seen = across.T @ wanted
    draws = _draws(seen, wanted - across @ seen) @ np.linalg.pinv(root).T
    return _within_bounds(root, seen) / scale, draws / scale


def _within_bounds(root: Floats, seen: Floats) -> Floats:
    """Unknowns of at least 0 with ``root @ unknowns`` nearest to what was seen."""
    best, least = np.zeros_like(seen), float((seen**2).sum())
    for size in range(1, len(seen) + 1):
        for chosen in itertools.combinations(range(len(seen)), size):
            some = list(chosen)
            solved = np.linalg.pinv(root[:, some]) @ seen
            cost = float(((root[:, some] @ solved - seen) ** 2).sum())
            if cost < least and (solved >= 0).all():
                best, least = np.zeros_like(seen), cost
                best[some] = solved
    return best


def _draws(seen: Floats, rest: Floats) -> Floats:
    """What else may have been seen, by what is left over."""
    left = len(rest) - len(seen)
    if left < 1:
        return np.empty((0, len(seen)))
    spread = math.sqrt(float((rest**2).sum()) / left)
    random = np.random.default_rng(0)  # the same measurements give the same intervals
    widths = np.sqrt(left / random.chisquare(left, DRAWS))
    return np.asarray(seen + spread * widths[:, None] * random.standard_normal((DRAWS, len(seen))))
