"""What a built-in aggregate is before it meets data: a function's name, columns and options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shardwise.compute.aggregates.registry import entry
from shardwise.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from shardwise.compute.aggregates.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Builtin:
    """A built-in aggregate as asked for. Immutable, picklable; made by `count`, `mean` and their like.

    Parameters
    ----------
    function : str
        Its name in the registry.
    columns : tuple of str
        It reads, in the order of its arguments.
    options : tuple of (str, value)
        JSON-able values (tuples for lists), every option written out.
    label : str
        Of the result column; empty for the default.
    """

    function: str
    columns: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        """Name of the result column: the label, else function and columns, as in ``mean_speed``."""
        return self.label or "_".join([self.function, *self.columns])

    def alias(self, name: str) -> Builtin:
        """The same aggregate with another name for its result."""
        if not isinstance(name, str) or not name:
            raise UsageError(f"{name!r} cannot name a result column", "give some text")
        return replace(self, label=name)

    def option(self, name: str) -> Any:
        """Value of an option."""
        return dict(self.options)[name]

    def identity(self) -> dict[str, Any]:
        """JSON that tells two aggregates apart where their values could differ; the label is not in it."""
        options = {name: list(value) if isinstance(value, tuple) else value for name, value in self.options}
        return {"function": self.function, "columns": list(self.columns), "options": options}

    def bind(self, schema: pa.Schema, key: str, name: str) -> Kernel:
        """Bind to the types of the columns.

        Parameters
        ----------
        schema : pyarrow.Schema
            Of the rows to aggregate.
        key : str
            Prefix of state columns, unique in the job.
        name : str
            Of the result column.

        Raises
        ------
        UsageError
            A column does not exist, or its type is none that the aggregate is defined for.
        """
        for column in self.columns:
            if schema.get_field_index(column) < 0:
                raise UsageError(
                    f"{self.function} reads column {column!r}, which does not exist",
                    f"choose one of: {', '.join(map(repr, schema.names)) or '(there is none)'}",
                )
        return entry(self.function).bind(self, schema, key, name)


def column_name(value: Any, function: str, argument: str = "column") -> str:
    """Accept a column's name.

    Raises
    ------
    UsageError
        It is no text.
    """
    if not isinstance(value, str):
        raise UsageError(f"{function}: {argument} is {value!r}, not a column's name", f'write {function}("name")')
    return value


def refuse_type(function: str, column: str, kind: pa.DataType, possible: str) -> UsageError:
    """The error for a column whose type an aggregate is not defined for."""
    return UsageError(f"{function} of column {column!r} of type {kind} is not defined", f"{function} takes {possible}")
