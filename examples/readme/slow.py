import time

import shardwise as sw


def work(n: int) -> int:
    time.sleep(0.1)
    return n * n


job = sw.from_items(list(range(256))).map_items(work).collect()
