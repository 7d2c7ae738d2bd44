"""What a dataset says of itself, without reading data: rows, bytes on disk and in memory, size class, schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardwise.compute.operations import describe
from shardwise.plan.memory import row_bytes
from shardwise.plan.size import size_class, suggestion
from shardwise.sizes import format_count, format_size

if TYPE_CHECKING:
    from shardwise.api.dataset import Dataset
    from shardwise.data.source import Source

SHOWN_FIELDS = 30


def source_name(source: Any) -> str:
    """A short name: the first file and how many more there are."""
    jobs = getattr(source, "jobs", None)
    if jobs is not None:
        return f"result of ({jobs[0].title})"
    fragments = source.fragments
    if not fragments:
        return "nothing"
    first = fragments[0].name
    return first if len(fragments) == 1 else f"{first} and {len(fragments) - 1:,} more"


def summary(dataset: Dataset) -> str:
    """The text of ``repr(dataset)``."""
    source: Any = dataset._source
    if hasattr(source, "jobs"):
        lines = [f"Dataset: {source_name(source)}"]
    else:
        lines = [f"Dataset: {source_name(source)}", "  " + _sizes(source)]
    lines += [f"  then {describe(op)}" for op in dataset._operations]
    schema = dataset.schema
    if schema is not None:
        width = max((len(name) for name in schema.names[:SHOWN_FIELDS]), default=0)
        lines += [f"    {field.name:<{width}}  {field.type}" for field in list(schema)[:SHOWN_FIELDS]]
        lines += [f"    ... {len(schema) - SHOWN_FIELDS} more columns"] if len(schema) > SHOWN_FIELDS else []
    return "\n".join(lines)


def _sizes(source: Source) -> str:
    rows = [fragment.rows for fragment in source.fragments]
    sizes = [fragment.size for fragment in source.fragments]
    facts = []
    total = None if None in rows else sum(r or 0 for r in rows)
    if total is not None:
        facts.append(f"{format_count(total)} {'items' if source.kind == 'items' else 'rows'}")
    if None not in sizes and source.remote_safe:
        facts.append(f"{format_size(sum(s or 0 for s in sizes))} on disk")
    held = None
    if total is not None and source.kind != "items":
        held = total * row_bytes(source.schema)
        facts.append(f"about {format_size(held)} in memory")
    elif None not in sizes and source.kind != "items":
        held = sum(s or 0 for s in sizes)
    if held is not None:
        facts.append(f"{size_class(held)}: {suggestion(held)}")
    return ", ".join(facts)
