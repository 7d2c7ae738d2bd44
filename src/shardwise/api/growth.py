"""``sw.growth``: how time and memory of a function grow with its input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from shardwise.errors import UsageError

if TYPE_CHECKING:
    from shardwise.compute.programs.growth import Sample
    from shardwise.plan.growth import Growth


def growth(
    function: Callable[[Any], Any],
    make: Callable[[int], Any],
    sizes: Iterable[int] | None = None,
    *,
    repeats: int = 5,
    seconds: float = 1.0,
    memory: int | str | None = None,
    threads: int | None = None,
    watch: Callable[[Sample], None] | None = None,
) -> Growth:
    """Time a function on growing inputs, fit how its time and memory grow, and say what more data would cost.

    For algorithms that see all of their data at once: a sort, a matrix product, a clustering. A ``map`` over batches
    is linear by construction, as every batch costs what it costs, whatever follows.

    Parameters
    ----------
    function : callable
        Of one input. What it returns is thrown away; an iterator is refused, as it would have computed nothing.
    make : callable
        Of a size (a whole number): makes an input of that size. Not timed, and called anew for each call.
    sizes : iterable of int, optional
        At least four. Default: doubled from what takes 2 ms, until a call takes ``seconds`` or half of the memory.
    repeats : int
        Calls for each size, at most; their median counts. None begins after four times ``seconds``.
    seconds : float
        Where sizes are chosen: about how long the longest call is.
    memory : int or str, optional
        What a call may use (``"4GB"``). Default: four fifths of what is free.
    threads : int, optional
        Native threads (BLAS and the like) that it may use. Default: as many as there are cores.
    watch : callable, optional
        Told each `Sample` as it comes.

    Returns
    -------
    Growth
        ``time`` and ``memory`` (each a `PowerLaw`: ``exponent``, ``low``, ``high``, and ``doubt`` where it cannot be
        told), ``at(size)``, ``largest``, ``draw(path)``, ``to_dict()``.

    Raises
    ------
    UsageError
        Sizes are too few, or one of them cannot fit: that is known from smaller ones before it is tried. The message
        has the projected bytes, the limit, and the largest size that fits.
    FunctionError
        The function, or ``make``, raised.
    WorkerError
        It ended its process.

    Notes
    -----
    Each size has a worker process of its own, on this machine: its peak of memory is its own, and a size that is too
    large ends no other process. The function is called once on a small input before. Fitted is ``scale * n **
    exponent`` beside a part that grows slower or not at all, by least squares between logarithms with intervals by
    profile t (`plan.power_law` names the sources). ``n log n`` comes out as an exponent of 1.05 to 1.15.

    Examples
    --------
    >>> import shardwise as sw
    >>> found = sw.growth(sorted, lambda n: list(range(n)), [1000, 2000, 4000, 8000], repeats=1)
    >>> [sample.size for sample in found.samples]
    [1000, 2000, 4000, 8000]
    """
    from shardwise.plan.growth_tries import Tries, Workers, memory_limit
    from shardwise.sizes import parse_size

    for name, called in (("function", function), ("make", make)):
        if not callable(called):
            raise UsageError(f"{name} is of type {type(called).__name__}, which cannot be called", "give a function")
    if repeats < 1 or not seconds > 0 or (threads is not None and threads < 1):
        given = f"repeats is {repeats}, seconds is {seconds:g} and threads is {threads}"
        raise UsageError(given, "give at least 1, more than 0 s, and at least 1")
    limit = memory_limit(parse_size(memory) if isinstance(memory, str) else memory)
    label = getattr(function, "__name__", type(function).__name__)
    workers = Workers(limit, threads)
    try:
        tries = Tries(workers, label, function, make, repeats, seconds, limit, watch or _ignore)
        return tries.chosen() if sizes is None else tries.given([int(size) for size in sizes])
    finally:
        workers.close()


def _ignore(sample: Sample) -> None:
    """Nobody wants to be told."""
