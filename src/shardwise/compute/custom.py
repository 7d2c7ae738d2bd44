"""Aggregates that a person writes, reduced in an order that depends on the data alone."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cloudpickle
import pyarrow as pa

from shardwise.compute.tree import Node, graft, in_order
from shardwise.data.source import Batch
from shardwise.errors import FunctionError, InternalError

S = TypeVar("S")

Forest = dict[Node, bytes]
"""State of a custom aggregation: complete nodes of the trees of batches; an empty value where no row was seen."""

_MAGIC = b"shardwise custom 1\n"


class Aggregate(ABC, Generic[S]):
    """A value of many rows that is computed in pieces. Subclass it and give these four methods.

    ``step`` takes in one batch, starting from a fresh ``zero()``; ``merge`` joins the states of two neighbouring runs
    of rows, the earlier one first; ``finish`` turns the last state into the result. ``merge`` has to be neither
    commutative nor associative: the order is fixed by the position of the batches in their files, so the same data
    give the same result to the last bit, whatever the plan, the engine and the order of arrival.

    A state may be any object that can be pickled. ``step`` and ``merge`` may change and return their first argument.

    Notes
    -----
    Batches without rows (emptied by a filter, say) are passed over. Where there is no row at all, the result is
    ``finish(zero())``.

    Each file's batches are reduced along a binary tree over their numbers: batches 2k and 2k + 1 first, then pairs of
    those pairs, and so on; what has no complete partner is folded from left to right at the end, file after file.

    Examples
    --------
    The mean of the logarithm of a column:

    >>> import numpy as np
    >>> class MeanLog(Aggregate):
    ...     def zero(self):
    ...         return (0, 0.0)
    ...     def step(self, state, batch):
    ...         x = batch["x"].to_numpy()
    ...         return (state[0] + len(x), state[1] + float(np.log(x).sum()))
    ...     def merge(self, a, b):
    ...         return (a[0] + b[0], a[1] + b[1])
    ...     def finish(self, state):
    ...         return state[1] / state[0] if state[0] else None
    >>> mean_log = CustomAggregation(MeanLog())
    >>> first = mean_log.partial([Batch(0, 0, pa.table({"x": [1.0, 1.0]}))])
    >>> second = mean_log.partial([Batch(0, 1, pa.table({"x": [1.0]}))])
    >>> mean_log.finish(mean_log.merge([second, first]))
    0.0
    """

    @abstractmethod
    def zero(self) -> S:
        """Make the state of no rows.

        Returns
        -------
        state
            A new one at each call.
        """

    @abstractmethod
    def step(self, state: S, batch: Any) -> S:
        """Take in the rows of one batch.

        Parameters
        ----------
        state
            From ``zero()``; may be changed and returned.
        batch : pyarrow.Table, numpy.ndarray or list
            At least one row, in order.

        Returns
        -------
        state
            Of these rows.
        """

    @abstractmethod
    def merge(self, a: S, b: S) -> S:
        """Join two states.

        Parameters
        ----------
        a, b
            States of rows where all of ``a`` come before all of ``b``; ``a`` may be changed and returned.

        Returns
        -------
        state
            Of the rows of both.
        """

    @abstractmethod
    def finish(self, state: S) -> Any:
        """Turn the state of all rows into the result.

        Parameters
        ----------
        state
            Of all rows.

        Returns
        -------
        result
            Anything.
        """


@dataclass(frozen=True, slots=True)
class CustomAggregation:
    """Runs an ``Aggregate`` over batches in pieces: partial states, merged in any grouping and order.

    States are immutable values: no method changes the ones it is given.

    Parameters
    ----------
    aggregate : Aggregate
        What to compute.
    """

    aggregate: Aggregate[Any]

    def partial(self, batches: Iterable[Batch]) -> Forest:
        """Reduce some batches as far as their positions allow.

        Parameters
        ----------
        batches : iterable of Batch
            Each batch of the dataset goes to exactly one partial state.

        Returns
        -------
        dict
            One entry per complete node that is left.

        Raises
        ------
        FunctionError
            A state cannot be pickled.
        """
        return self.reduce((batch, self.leaf(batch.data)) for batch in batches)

    def leaf(self, data: Any) -> Leaf:
        """State of one batch, for ``reduce``."""
        if _rows(data) == 0:
            return Leaf(frozen=b"")
        return Leaf(live=(self.aggregate.step(self.aggregate.zero(), data),))

    def reduce(self, leaves: Iterable[tuple[Batch, Leaf]]) -> Forest:
        """Reduce batches whose own states are there already, as ``partial`` does."""
        forest: dict[Node, Leaf] = {}
        for batch, leaf in leaves:
            graft(forest, Node(batch.fragment, 0, batch.index), leaf, self._join)
        return self._frozen(forest)

    def merge(self, states: Iterable[Forest]) -> Forest:
        """Merge states; in any grouping and order the result is the same.

        Parameters
        ----------
        states : iterable of dict
            From ``partial``, ``merge`` or ``load``; no batch is in two of them.

        Returns
        -------
        dict
            The state of all their batches.
        """
        forest: dict[Node, Leaf] = {}
        for state in states:
            for node, frozen in state.items():
                graft(forest, node, Leaf(frozen=frozen), self._join)
        return self._frozen(forest)

    def finish(self, state: Forest) -> Any:
        """Compute the result.

        Parameters
        ----------
        state : dict
            Of all batches.

        Returns
        -------
        result
            What the aggregate's ``finish`` returns.
        """
        total = Leaf(frozen=b"")
        for _, frozen in in_order(state):
            total = self._join(total, Leaf(frozen=frozen))
        return self.aggregate.finish(self.aggregate.zero() if total.is_empty else total.thaw())

    @staticmethod
    def save(state: Forest) -> bytes:
        """Write a state as bytes. It holds pickles: let nobody else write it.

        Parameters
        ----------
        state : dict
            From ``partial`` or ``merge``.

        Returns
        -------
        bytes
            For ``load``.
        """
        return _MAGIC + pickle.dumps([(tuple(node), value) for node, value in in_order(state)], protocol=5)

    @staticmethod
    def load(data: bytes) -> Forest:
        """Read what ``save`` wrote. Unpickles: the caller has made sure that the bytes are its own.

        Parameters
        ----------
        data : bytes
            From ``save``.

        Returns
        -------
        dict
            A state.

        Raises
        ------
        InternalError
            The bytes are no such state.
        """
        if not data.startswith(_MAGIC):
            raise InternalError(f"{len(data)} bytes are not a saved state of a custom aggregate")
        return {Node(*node): value for node, value in pickle.loads(data[len(_MAGIC) :])}

    def _join(self, a: Leaf, b: Leaf) -> Leaf:
        if a.is_empty or b.is_empty:
            return b if a.is_empty else a
        return Leaf(live=(self.aggregate.merge(a.thaw(), b.thaw()),))

    def _frozen(self, forest: dict[Node, Leaf]) -> Forest:
        return {node: state.freeze(type(self.aggregate).__name__) for node, state in in_order(forest)}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A state as bytes (empty: of no rows), or alive (in a tuple, as a state may be None)."""

    frozen: bytes | None = None
    live: tuple[Any, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self.frozen == b""

    def thaw(self) -> Any:
        return self.live[0] if self.frozen is None else cloudpickle.loads(self.frozen)

    def freeze(self, name: str) -> bytes:
        if self.frozen is not None:
            return self.frozen
        try:
            return bytes(cloudpickle.dumps(self.live[0], protocol=5))
        except Exception as error:
            raise FunctionError(
                f"a state of the aggregate {name} (a {type(self.live[0]).__name__}) cannot be pickled: {error}",
                "keep numbers, strings, lists, dicts or arrays in the state, not open files, locks or connections",
            ) from error


def _rows(data: Any) -> int:
    return data.num_rows if isinstance(data, (pa.Table, pa.RecordBatch)) else len(data)
