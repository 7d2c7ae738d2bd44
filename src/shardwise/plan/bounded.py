"""Least squares with a few unknowns that are all at least 0, and what else they may have been.

The best unknowns: of each set of them that are not 0 the best values are one linear solution, and of the solutions that
are allowed the best is the answer. With three unknowns that is exact after seven small systems.

What else they may have been: draws from the multivariate t distribution of the problem without bounds (its covariance,
and as many degrees of freedom as measurements are left over), each brought within the bounds in the metric of the
problem. Quantiles of whatever is computed from the draws are intervals. A bootstrap of residuals would be too sure of
itself here: there are a handful of residuals, each shrunk by the fit.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from shardwise.plan.time_law import Floats

DRAWS = 2000


def least_squares(rows: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Solve ``rows @ unknowns = wanted`` as nearly as can be, with unknowns at least 0.

    Parameters
    ----------
    rows : ndarray, shape (measurements, unknowns)
        Of full rank.
    wanted : ndarray, shape (measurements,)

    Returns
    -------
    tuple of ndarray
        The unknowns, and ``DRAWS`` rows of what else they may have been; no rows where no measurement is left over.

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
    ([2.0, 0.0], 2000)
    """
    scale = np.linalg.norm(rows, axis=0)
    rows = rows / scale
    free, *_ = np.linalg.lstsq(rows, wanted, rcond=None)
    metric = rows.T @ rows
    return _within_bounds(free[None], metric)[0] / scale, _draws(free, metric, rows, wanted) / scale


def _within_bounds(free: Floats, metric: Floats) -> Floats:
    """The nearest allowed unknowns to each row of ``free``."""
    wanted = free @ metric
    best, least = np.zeros_like(free), np.zeros(len(free))  # all of them 0 costs 0, beside a constant
    for size in range(1, free.shape[1] + 1):
        for chosen in itertools.combinations(range(free.shape[1]), size):
            some = list(chosen)
            solved = np.linalg.solve(metric[np.ix_(some, some)], wanted[:, some].T).T
            cost = -(solved * wanted[:, some]).sum(axis=1)
            better = (solved >= 0).all(axis=1) & (cost < least)
            filled = np.zeros_like(free)
            filled[:, some] = solved
            best = np.where(better[:, None], filled, best)
            least = np.where(better, cost, least)
    return best


def _draws(free: Floats, metric: Floats, rows: Floats, wanted: Floats) -> Floats:
    left = len(wanted) - len(free)
    if left < 1:
        return np.empty((0, len(free)))
    spread = math.sqrt(float(((rows @ free - wanted) ** 2).sum()) / left)
    random = np.random.default_rng(0)  # the same measurements give the same intervals
    normal = random.standard_normal((DRAWS, len(free)))
    widths = np.sqrt(left / random.chisquare(left, DRAWS))
    root = np.linalg.inv(np.linalg.cholesky(metric))  # root.T @ root is the inverse of the metric
    return _within_bounds(free + spread * widths[:, None] * (normal @ root), metric)
