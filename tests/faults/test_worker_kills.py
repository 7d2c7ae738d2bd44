"""SIGKILL of workers in the middle of a function, fifty times: no hang, no loss, nothing twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path

import psutil

import shardwise as sw

SEED = int(os.environ.get("SHARDWISE_SEED", "1"))
ITEMS = 600
KILLS = 50


class Killer(threading.Thread):
    """Reads from a FIFO who has begun an item, and kills some of them right then."""

    def __init__(self, fifo: Path, kills: int) -> None:
        super().__init__(daemon=True)
        self.fifo, self.kills, self.begun = fifo, kills, 0
        self.chance = random.Random(SEED)

    def run(self) -> None:
        dead: set[str] = set()
        with open(self.fifo) as lines:
            for line in lines:
                self.begun += 1
                pid = line.strip()
                if len(dead) < self.kills and pid not in dead and self.chance.random() < 0.5:
                    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile, with the job
                        os.kill(int(pid), signal.SIGKILL)
                        dead.add(pid)
        self.killed = len(dead)


def test_fifty_killed_workers_lose_nothing(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    killer = Killer(fifo, KILLS)
    keep_open = os.open(fifo, os.O_RDWR)  # until the end: neither side ever sees the other missing
    killer.start()
    target = str(fifo)

    def work(item: int) -> int:
        fd = os.open(target, os.O_WRONLY)
        os.write(fd, f"{os.getpid()}\n".encode())
        os.close(fd)
        total = 0
        for i in range(30_000):
            total += i * item
        return total

    # 10 items a task: a killed worker costs at most one attempt of ten items
    options = {"engine": "local:2", "retries": 60, "shard_size": 10, "progress": "none"}
    result = sw.from_items(list(range(ITEMS))).map_items(work).collect().run(**options)
    os.close(keep_open)
    killer.join(10)
    assert result.to_list() == [sum(range(30_000)) * item for item in range(ITEMS)]
    assert killer.killed == KILLS
    # one that comes when its worker has just answered costs none: the killer may be late
    assert KILLS // 2 < result.run.retries <= KILLS, "each kill costs one attempt, and nothing else does"
    assert killer.begun <= ITEMS + KILLS * 10, "rework is at most one attempt per kill"
    left = Counter(child.name() for child in psutil.Process().children(recursive=True))
    assert not left, f"processes left behind: {left}"
