"""The user's function: what it wants to receive, and how it is called."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from shardwise.compute.context import Context
from shardwise.errors import FunctionError, UsageError

Receives = Literal["arrow", "pandas", "polars", "numpy", "list", "source"]
"""What a ``map`` function gets; ``"source"``: the source's own kind."""

_BY_TYPE: dict[tuple[str, str], Receives] = {
    ("pyarrow", "Table"): "arrow",
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
    ("numpy", "ndarray"): "numpy",
    ("builtins", "list"): "list",
}
_BY_TEXT: tuple[tuple[str, Receives], ...] = (
    (r"(pa|pyarrow)\.(lib\.)?Table", "arrow"),
    (r"(pd|pandas)\.DataFrame", "pandas"),
    (r"(pl|polars)\.DataFrame", "polars"),
    (r"((np|numpy)\.)?(ndarray|typing\.NDArray|NDArray|npt\.NDArray)\b.*", "numpy"),
    (r"(list|List|typing\.List)\b.*", "list"),
)


def _receives(annotation: Any, function: str) -> Receives:
    if annotation is inspect.Parameter.empty or annotation is Any:
        return "source"
    if isinstance(annotation, str):
        for pattern, receives in _BY_TEXT:
            if re.fullmatch(pattern, annotation):
                return receives
    kind = typing.get_origin(annotation) or annotation
    found = _BY_TYPE.get((getattr(kind, "__module__", "").split(".")[0], getattr(kind, "__name__", "")))
    if found is None:
        shown = annotation if isinstance(annotation, str) else getattr(annotation, "__qualname__", repr(annotation))
        raise UsageError(
            f"function {function!r} asks for {shown}, which a batch cannot be turned into",
            "annotate its first parameter with pa.Table, pd.DataFrame, pl.DataFrame, np.ndarray or list, or not at all",
        )
    return found


def _annotations(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target)
    except Exception:  # a name that only exists while type checking: the text of the annotation must do
        return dict(getattr(target, "__annotations__", {}))


def _is_context(annotation: Any, name: str) -> bool:
    if isinstance(annotation, str):
        return annotation.rsplit(".", 1)[-1] == "Context"
    return annotation is Context or (annotation is inspect.Parameter.empty and name == "ctx")


@dataclass(slots=True)
class Function:
    """A callable, or a class whose instances are callable and are built once per worker.

    Parameters
    ----------
    call : callable or class
        What the user gave.
    name : str
        For messages.
    receives : str
        See ``Receives``; read from the annotation of the first parameter.
    context : str or None
        Name of the parameter that takes a ``Context``.
    """

    call: Callable[..., Any]
    name: str
    receives: Receives = "source"
    context: str | None = None
    _built: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, call: Any, *, item: bool = False) -> Function:
        """Look at a callable. ``item``: it gets one item, so that its annotation does not choose a format.

        Raises
        ------
        UsageError
            It is not callable, takes no or too many positional arguments, or asks for an unknown type.
        """
        if not callable(call):
            raise UsageError(
                f"a function is needed, not {type(call).__name__}", "give a function or a class with __call__"
            )
        name = getattr(call, "__qualname__", None) or type(call).__qualname__
        target = call
        if (inspect.isclass(call) and not item) or (inspect.isclass(call) and _defines_call(call)):
            if not _defines_call(call):
                raise UsageError(f"class {name!r} has no __call__", "define __call__(self, batch), or give a function")
            target = call.__call__
        elif not inspect.isroutine(call) and not inspect.isclass(call):
            target = getattr(call, "func", None) or type(call).__call__
        first, context = _parameters(call, target, name)
        receives: Receives = "source"
        if first is not None and not item:
            receives = _receives(_annotations(target).get(first, inspect.Parameter.empty), name)
        return cls(call, name, receives, context)

    def ready(self) -> Callable[..., Any]:
        """The function itself; for a class, its one instance in this worker."""
        if not (inspect.isclass(self.call) and _defines_call(self.call)):
            return self.call
        if self._built is None:
            self._built = self.call()
        return typing.cast(Callable[..., Any], self._built)

    def __call__(self, value: Any, context: Context) -> Any:
        return self.ready()(value, **({self.context: context} if self.context else {}))

    def results(self, item: Any, context: Context) -> Iterator[Any]:
        """What the function returns for one item, or all that it yields."""
        result = self(item, context)
        if inspect.isgenerator(result):
            yield from result
        else:
            yield result

    def __getstate__(self) -> tuple[Any, ...]:
        return self.call, self.name, self.receives, self.context

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.call, self.name, self.receives, self.context = state
        self._built = None


def _defines_call(cls: type) -> bool:
    return any("__call__" in vars(base) for base in cls.__mro__)


def _parameters(call: Any, target: Any, name: str) -> tuple[str | None, str | None]:
    """Names of the first positional parameter and of the one that takes a Context."""
    try:
        signature = inspect.signature(target if inspect.isclass(call) else call)
    except (TypeError, ValueError):  # a builtin without a signature
        return None, None
    hints = _annotations(target)
    parameters = list(signature.parameters.values())
    if inspect.isclass(call):
        parameters = parameters[1:]
    context = next((p.name for p in parameters[1:] if _is_context(hints.get(p.name, p.annotation), p.name)), None)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name != context]
    needed = [p for p in positional if p.default is p.empty]
    if not positional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise UsageError(f"function {name!r} takes no argument", "let its first parameter receive the batch or item")
    if len(needed) > 1:
        raise UsageError(
            f"function {name!r} needs {len(needed)} arguments ({', '.join(p.name for p in needed)}); it is given one",
            "fix the others with functools.partial or a lambda",
        )
    return (positional[0].name if positional else None), context


def refuse_result(name: str, result: Any) -> FunctionError:
    """The error for a result that cannot be stored as columns."""
    return FunctionError(
        f"function {name!r} returned {type(result).__name__}, which cannot be stored as columns",
        "return a frame (pyarrow, pandas, Polars), an ndarray, a scalar, a dict of columns, or a list of dicts",
    )
