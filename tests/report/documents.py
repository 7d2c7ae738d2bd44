"""Documents of runs as ``report.document`` makes them: one that was recorded, and large and hostile ones."""

from __future__ import annotations

from typing import Any

HOSTILE = [
    "</script><script>window.hit=1</script>",
    '"><img src=x onerror="window.hit=1">',
    "'--><!-- <svg/onload=window.hit=1>",
    "a\u2028b\u2029c\x00\x1b[31m\x7f\u202egnp.exe\ud800",
    "$$x^2$$ @{task} ${title} {0} {}",
    "&lt;b&gt; & <b>",
]


def span(task: str, slot: int, began: float, ended: float, **more: Any) -> dict[str, Any]:
    took = ended - began
    inside = {"read": took * 0.2, "compute": took * 0.6, "write": took * 0.1}
    known = {"stage": "partial", "attempt": 0, "host": "box", "how": "committed", "backup": False, "failure": ""}
    size = {"rows": 131072, "bytes_in": 1_234_567, "bytes_out": 4096, "peak": 151_000_000}
    return {"task": task, "slot": slot, "began": began, "ended": ended, **known, **inside, **size, **more}


def small() -> dict[str, Any]:
    """Two workers, five attempts: one failed, one was a second one that came too late."""
    spans = [
        span("partial 0-4", 0, 0.4, 2.4, attempt=0),
        span("partial 4-8", 1, 0.5, 1.1, attempt=1, how="failed", failure="ValueError: 450 km/h"),
        span("partial 4-8", 1, 1.3, 3.3, attempt=2),
        span("partial 8-12", 0, 2.5, 6.0, attempt=3),
        span("partial 8-12", 1, 4.6, 6.1, attempt=4, how="late", backup=True),
        span("finish 0-1", 0, 6.1, 6.3, attempt=5, stage="finish", rows=12),
    ]
    return {
        "run": {
            "id": "6e8837de70df",
            "dir": "/data/runs/6e8837de70df",
            "status": "done",
            "job": "trips/part-00000.parquet and 3 more | map strict | write_parquet 出力/",
            "engine": "local:2",
            "workers": 2,
            "seconds": 6.5,
            "began": 1_795_000_000.0,
            "ended": 1_795_000_006.5,
            "version": "0.1.0",
        },
        "plan": _plan(),
        "stages": [
            _stage("partial", "filter distance > 0", 3, 7.0, 6.1, 151_000_000, 170_000_000),
            _stage("finish", "the result", 1, 0.2, 0.25, 110_000_000, 120_000_000),
        ],
        "spans": spans,
        "workers": [
            {"slot": 0, "host": "box", "up": 0.3, "down": 6.5},
            {"slot": 1, "host": "box", "up": 0.35, "down": 6.5},
        ],
        "throughput": [[0.0, 0.0, 0.0], [2.0, 131072.0, 1e6], [4.0, 65536.0, 5e5], [6.0, 131072.0, 1e6]],
        "where": {
            "reading": 1.9, "computing": 5.8, "writing": 0.9, "waiting": 3.1, "starting": 0.6, "retrying": 2.1,
        },
        "links": [
            {"from": "storage", "to": "workers", "bytes": 12_600_000, "seconds": 1.9},
            {"from": "workers", "to": "driver", "bytes": 20_480, "seconds": 0.01},
        ],
        "communication": 0.021,
        "stragglers": [{"task": "partial 8-12", "seconds": 3.5, "median": 2.0, "why": "reads 1.9 times as much"}],
        "skew": [{"stage": "partial", "median": 2.0, "longest": 3.5, "ratio": 1.75}],
        "quarantine": {
            "rows": 2,
            "first": [{"file": "trips/part-00000.parquet", "batch": 1, "row": 99722, "message": "450 km/h"}],
        },
        "logs": {
            "partial 0-4": [{"attempt": "000000", "lines": ["read 131,072 rows", "読み込みました"]}],
            "partial 4-8": [{"attempt": "000001", "lines": ["Traceback ...", "ValueError: 450 km/h"]}],
        },
        "advice": [
            {"what": "Use larger shards", "why": "Half of a task's time is overhead.", "gain_seconds": 1.2},
            {"what": "Try inline", "why": "Starting took 0.6 s.", "gain_seconds": None},
        ],
    }  # fmt: skip


def _stage(name: str, what: str, tasks: int, seconds: float, expected: float, peak: int, most: int) -> dict[str, Any]:
    return {
        "name": name,
        "what": what,
        "tasks": tasks,
        "done": tasks,
        "rows_in": 393216,
        "bytes_in": 3_703_701,
        "rows_out": 12,
        "bytes_out": 12_288,
        "seconds": seconds,
        "wall": [0.4, 6.3],
        "read": 1.9,
        "compute": 5.8,
        "write": 0.9,
        "peak_memory": peak,
        "predicted_seconds": expected,
        "predicted_memory": most,
        "measured_seconds": seconds * 0.6,
        "measured_memory": 2 * peak,
    }


def _plan() -> dict[str, Any]:
    stage = {"batches": 12, "rows": 393216, "size": 3_703_701, "seconds": 6.1, "memory_bytes": 170_000_000}
    chosen = {"engine": "local", "workers": 2, "shard_bytes": 1_200_000, "seconds": 6.1, "fits": True, "chosen": True}
    other = {**chosen, "engine": "inline", "workers": 1, "seconds": 9.4, "chosen": False}
    return {
        "job": "",
        "engine": "local:2",
        "workers": 2,
        "threads": 1,
        "seconds": 6.1,
        "memory_limit": 1_000_000_000,
        "seconds_low": 5.2,
        "seconds_high": 7.4,
        "memory_bytes": 346_000_000,
        "run_dir": "",
        "stages": [{"name": "partial", "what": "filter distance > 0", "tasks": 3, "done": 0, **stage}],
        "reasons": ["local with 2 workers is predicted to take 6.1 s, inline 9.4 s"],
        "bottleneck": {"name": "computing", "why": "60 % of the workers' time", "strategy": "data parallelism"},
        "alternatives": [
            {**chosen, "seconds_low": 5.2, "seconds_high": 7.4, "memory_bytes": 346_000_000},
            {
                **other,
                "shard_bytes": None,
                "shard_batches": 12,
                "seconds_low": 8.0,
                "seconds_high": 11.0,
                "memory_bytes": 200_000_000,
            },
        ],
        "sample": {"tasks": 1, "share": 0.04, "seconds": 0.3},
    }


def large(tasks: int, workers: int = 32) -> dict[str, Any]:
    """A run of many tasks that all said something."""
    made = small()
    length = 4.0
    made["spans"] = [
        span(
            f"partial {n * 7}-{n * 7 + 7}",
            n % workers,
            n // workers * length,
            (n // workers + 0.97) * length,
            attempt=n,
        )
        for n in range(tasks)
    ]
    end = made["spans"][-1]["ended"]
    made["run"] |= {"seconds": end, "ended": made["run"]["began"] + end, "workers": workers}
    made["workers"] = [{"slot": n, "host": f"box-{n // 8}", "up": 0.0, "down": end} for n in range(workers)]
    made["throughput"] = [[end * n / 300, 1e6 + n, 1e8 + n] for n in range(300)]
    line = "2026-11-23 21:00:00 read 131,072 rows of trips/part-00000.parquet in 0.31 s, 集計しました"
    made["logs"] = {each["task"]: [{"attempt": f"{n:06}", "lines": [line] * 5}] for n, each in enumerate(made["spans"])}
    return made


def hostile() -> dict[str, Any]:
    """A run whose every text is an attack."""
    texts = iter(range(10**9))

    def spoilt(value: Any) -> Any:
        if isinstance(value, str):
            return HOSTILE[next(texts) % len(HOSTILE)] + str(next(texts))
        if isinstance(value, list):
            return [spoilt(each) for each in value]
        if isinstance(value, dict):
            return {name: spoilt(each) for name, each in value.items()}
        return value

    made: dict[str, Any] = spoilt(small())
    names = [HOSTILE[n % len(HOSTILE)] + str(n) for n in range(len(made["spans"]))]
    for each, name in zip(made["spans"], names, strict=True):
        each |= {"task": name, "how": "committed"}
    made["logs"] = {
        name: [{"attempt": text, "lines": list(HOSTILE)}] for name, text in zip(names, HOSTILE, strict=True)
    }
    made["quarantine"]["first"] = [{text: text for text in HOSTILE}]
    return made


def empty() -> dict[str, Any]:
    """A run that has only just begun."""
    return {
        "run": {
            "id": "6e8837de70df",
            "dir": "/data/run",
            "status": "running",
            "job": "items",
            "engine": "",
            "workers": 0,
            "seconds": 0.0,
            "began": 1_795_000_000.0,
            "ended": None,
            "version": "0.1.0",
        },
        "plan": None,
        **{name: [] for name in ("stages", "spans", "workers", "throughput", "links", "stragglers", "skew", "advice")},
        "where": {},
        "communication": 0.0,
        "quarantine": {"rows": 0, "first": []},
        "logs": {},
    }
