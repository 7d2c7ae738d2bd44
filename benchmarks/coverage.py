"""How often intervals of fitted laws hold what is true: ``python -m benchmarks.coverage``.

Times of 1, 2, 4 and 8 workers, three of each, are made by laws that are known, with noise. Nothing is timed, and the
same seed prints the same figures.
"""

from __future__ import annotations

import argparse

import numpy as np

from shardwise.plan import laws
from shardwise.plan.fits import fit_laws
from shardwise.plan.time_law import LEVEL

LAWS = ((0.02, 0.0), (0.1, 0.0), (0.1, 0.005), (0.3, 0.02))
"""Contention and coherency."""

NOISES = (0.03, 0.06)
COUNTS = [1, 2, 4, 8] * 3
FAR = 32


def seconds(workers: int, contention: float, coherency: float) -> float:
    """What a law says that so many workers take."""
    return 2.0 / laws.usl(workers, contention, coherency)


def covered(times: np.ndarray, contention: float, coherency: float) -> tuple[bool, bool, bool]:
    """Whether intervals hold the contention, the coherency, and the time of many more workers."""
    fit = fit_laws(COUNTS, list(times)).usl
    assert fit is not None and fit.coherency is not None
    true = (
        (fit.contention, contention),
        (fit.coherency, coherency),
        (fit.seconds(FAR), seconds(FAR, contention, coherency)),
    )
    return tuple(e.low is not None and e.high is not None and e.low <= value <= e.high for e, value in true)  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    print(f"{LEVEL:.0%} intervals, {given.rounds} rounds: share that holds contention, coherency, {FAR} workers' time")
    for contention, coherency in LAWS:
        clean = np.array([seconds(n, contention, coherency) for n in COUNTS])
        for noise in NOISES:
            draws = clean * (1 + noise * random.standard_normal((given.rounds, len(COUNTS))))
            shares = np.mean([covered(times, contention, coherency) for times in draws], axis=0)
            law = f"contention {contention:.0%}, coherency {coherency:.1%}, noise {noise:.0%}"
            print(f"{law:45}", *(f"{share:6.1%}" for share in shares))


if __name__ == "__main__":
    main()
