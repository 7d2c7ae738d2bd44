"""The report of a run for people: as text, as JSON values, and in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shardwise.sizes import format_count, format_duration, format_percent, format_size

MOST_ADVICE = 5


class Report:
    """What a run cost beside what was predicted, its bottleneck, and what to do next; ``print`` it.

    Parameters
    ----------
    make : callable
        Makes the document when it is first asked for.
    """

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._document: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON values: what the page of ``shardwise report`` is drawn from."""
        if self._document is None:
            self._document = self._make()
        return self._document

    def __str__(self) -> str:
        return summary(self.to_dict())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from shardwise.report.page.notebook import frame

        return frame(self.to_dict())


def summary(document: dict[str, Any]) -> str:
    """A report as text."""
    facts = [
        ("run", _run(document)),
        ("job", document["run"]["job"]),
        ("memory", _memory(document["prediction"])),
        *(("stage", _stage(stage)) for stage in document["stages"]),
        ("time", _time(document["where"])),
        ("moving", _moving(document)),
        ("slowest", _slowest(document)),
        ("bottleneck", _bottleneck(document)),
        *(("next", _advice(one)) for one in document["advice"][:MOST_ADVICE]),
    ]
    return "\n".join(f"{name.ljust(10)}  {text}" for name, text in facts if text)


def _run(document: dict[str, Any]) -> str:
    run, predicted = document["run"], document["prediction"]
    text = f"{run['id']}, {run['status']}, {format_duration(run['seconds'])}"
    if predicted["seconds"]:
        low, high = predicted["seconds_low"], predicted["seconds_high"]
        between = f", {format_duration(low)} to {format_duration(high)}" if low is not None and high is not None else ""
        took = predicted["measured_seconds"]
        text += f"; {format_duration(took)} from the plan on, predicted" if took is not None else "; predicted"
        text += f" {format_duration(predicted['seconds'])}{between}"
    if run["engine"]:
        text += f"; engine {run['engine']}, {_count(run['workers'] or 1, 'worker')}"
    vain = run["attempts"] - run["ends"].get("committed", 0)
    return text + (f"; {_count(vain, 'attempt')} of {format_count(run['attempts'])} came to nothing" if vain else "")


def _memory(predicted: dict[str, Any]) -> str:
    held = predicted["measured_memory"]
    said = [f"{format_size(held)} held by the processes of a host"] if held else []
    said += [f"{format_size(predicted['memory_bytes'])} projected"] if predicted["memory_bytes"] else []
    said += [f"{format_size(predicted['memory_limit'])} allowed"] if predicted["memory_limit"] else []
    return ", ".join(said)


def _stage(stage: dict[str, Any]) -> str:
    said = [f"{stage['name']}: {_count(stage['done'], 'task')}"]
    if stage["done"] < stage["tasks"]:
        said[0] += f" of {format_count(stage['tasks'])}"
    if stage["predicted_seconds"] and stage["measured_seconds"]:
        predicted = format_duration(stage["predicted_seconds"])
        said.append(f"{format_duration(stage['measured_seconds'])} (predicted {predicted})")
    elif stage["wall"] is not None:
        said.append(format_duration(stage["wall"][1] - stage["wall"][0]))
    if stage["rows_in"]:
        said.append(f"{_count(stage['rows_in'], 'row')} in")
    if stage["bytes_in"]:
        said.append(format_size(stage["bytes_in"]))
    if stage["peak_memory"]:
        said.append(f"{format_size(stage['peak_memory'])} in a worker")
    return ", ".join(said)


def _time(spent: dict[str, float]) -> str:
    total = sum(spent.values())
    parts = sorted(((seconds, name) for name, seconds in spent.items() if total and seconds / total >= 0.005))
    shares = [f"{name} {format_percent(seconds / total, 0)}" for seconds, name in reversed(parts)]
    return f"{', '.join(shares)} of {format_duration(total)} of all workers" if shares else ""


def _moving(document: dict[str, Any]) -> str:
    if not document["links"]:
        return ""
    sizes: dict[str, int] = {}
    for link in document["links"]:
        name = {"storage": "read", "driver": "sent"}.get(
            link["from"], {"storage": "written", "driver": "answered"}.get(link["to"], "moved")
        )
        sizes[name] = sizes.get(name, 0) + link["bytes"]
    said = [f"{name} {format_size(size)}" for name, size in sizes.items() if size]
    return f"{', '.join(said)}: {format_percent(document['communication'], 0)} of all time" if said else ""


def _slowest(document: dict[str, Any]) -> str:
    if not document["stragglers"]:
        return ""
    worst = document["stragglers"][0]
    times = f"{format_duration(worst['seconds'])}, where the median took {format_duration(worst['median'])}"
    return f"{worst['task']}: {times}; {worst['why']}"


def _bottleneck(document: dict[str, Any]) -> str:
    """As the plan named it, else what the workers spent most of their time on."""
    planned = (document["plan"] or {}).get("bottleneck")
    if planned:
        return f"{planned['name']}: {planned['why']}"
    total = sum(document["where"].values())
    if not total:
        return ""
    name = max(document["where"], key=lambda part: float(document["where"][part]))
    return f"{name}, {format_percent(document['where'][name] / total, 0)} of the workers' time"


def _advice(one: dict[str, Any]) -> str:
    gain = "" if one["gain_seconds"] is None else f" (saves about {format_duration(one['gain_seconds'])})"
    return f"{one['what']}{gain}: {one['why']}"


def _count(number: int, one: str) -> str:
    return f"{format_count(number)} {one if number == 1 else one + 's'}"
