"""Reduction over the dyadic tree of a fragment's batches: an order that position alone decides.

Node (fragment, level, n) stands for the batches [n * 2**level, (n + 1) * 2**level) of a fragment. A parent
is made as soon as both its children are there, always from left and right, and only complete nodes are made. So
whichever batches come together first, in one task or in a merge, every node that is made has the same value, and which
nodes are left when all batches are in depends on how many they are: neither has to be known beforehand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from shardwise.errors import InternalError

T = TypeVar("T")


class Node(NamedTuple):
    """A run of 2**level batches of a fragment."""

    fragment: int
    level: int
    number: int

    @property
    def sibling(self) -> Node:
        return self._replace(number=self.number ^ 1)

    @property
    def parent(self) -> Node:
        return Node(self.fragment, self.level + 1, self.number >> 1)

    @property
    def first(self) -> int:
        """The first batch it stands for."""
        return self.number << self.level


def graft(forest: dict[Node, T], node: Node, value: T, merge: Callable[[T, T], T]) -> None:
    """Add a node to a forest of complete nodes, and make every parent that this completes.

    Parameters
    ----------
    forest : dict of Node to value
        Changed in place. No two of its nodes share a batch, nor does the new one with them.
    node : Node
        To add.
    value
        Of the node.
    merge : callable
        Makes the value of a parent from those of its left and right child.

    Raises
    ------
    InternalError
        The node is in the forest already. (``in_order`` finds other overlaps.)

    Examples
    --------
    >>> forest = {}
    >>> for batch in (2, 0, 1):
    ...     graft(forest, Node(0, 0, batch), str(batch), lambda a, b: f"({a}{b})")
    >>> forest
    {Node(fragment=0, level=0, number=2): '2', Node(fragment=0, level=1, number=0): '(01)'}
    """
    while node.sibling in forest:
        other = forest.pop(node.sibling)
        value = merge(other, value) if node.number & 1 else merge(value, other)
        node = node.parent
    if node in forest:
        raise _twice(node)
    forest[node] = value


def in_order(forest: dict[Node, T]) -> list[tuple[Node, T]]:
    """The nodes of a forest by position of what they stand for.

    Parameters
    ----------
    forest : dict of Node to value
        No two of its nodes share a batch.

    Returns
    -------
    list of (Node, value)
        By fragment and first batch.

    Raises
    ------
    InternalError
        Two nodes share a batch.

    Examples
    --------
    >>> [value for _, value in in_order({Node(0, 0, 2): "b", Node(0, 1, 0): "a"})]
    ['a', 'b']
    """
    items = sorted(forest.items(), key=lambda item: (item[0].fragment, item[0].first))
    for (node, _), (following, _) in itertools.pairwise(items):
        if node.fragment == following.fragment and node.first + (1 << node.level) > following.first:
            raise _twice(following)
    return items


def _twice(node: Node) -> InternalError:
    return InternalError(f"batch {node.first} of fragment {node.fragment} was merged twice")
