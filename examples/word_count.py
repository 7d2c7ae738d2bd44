"""Count words: a function that yields any number of results for each item, then a group_by over what it yielded.

Run: ``python examples/word_count.py [lines]``
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator

import shardwise as sw

lines = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
rng = random.Random(0)
vocabulary = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "the", "cat"]
text = [" ".join(rng.choices(vocabulary, k=12)) for _ in range(lines)]


def words(line: str) -> Iterator[str]:
    yield from line.split()


counted = sw.from_items(text).map_items(words).group_by("value").aggregate(sw.count()).run().to_pylist()
counts = {row["value"]: row["count"] for row in counted}

assert counts == Counter(" ".join(text).split())
print(f"{lines:,} lines; most frequent:", sorted(counts.items(), key=lambda pair: -pair[1])[:3])
