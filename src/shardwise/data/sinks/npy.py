"""NumPy ``.npy`` files of batches that are arrays."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shardwise.data.schema import array_shape
from shardwise.data.sinks.writer import Target, Writer, refuse
from shardwise.data.source import Kind
from shardwise.errors import FunctionError, UsageError

_IN_MEMORY = 16 << 20


@dataclass(frozen=True, slots=True)
class NpySink:
    """One array in C order, version 1.0 of the format."""

    suffix: str = ".npy"
    kind: Kind = "array"

    def check(self, schema: pa.Schema) -> None:
        """Refuse columns that differ in type or are no numbers."""
        if not len(schema):
            raise UsageError("an array without columns cannot be written", "keep at least one column")
        for field in schema:
            if field.type != schema.field(0).type:
                raise refuse(
                    field.name, field.type, f".npy beside {schema.field(0).type}", "use one type for all columns"
                )
            if not (pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or field.type == pa.bool_()):
                raise refuse(field.name, field.type, ".npy", "write Parquet, or turn it into numbers")

    def open(self, target: Target, schema: pa.Schema) -> NpyFileWriter:
        """Begin a file."""
        self.check(schema)
        dtype = np.dtype(schema.field(0).type.to_pandas_dtype())
        return NpyFileWriter(target, dtype, array_shape(schema))


class NpyFileWriter(Writer):
    """Keeps the rows aside (on disk from 16 MiB on), because the header, which comes first, counts them."""

    def __init__(self, target: Target, dtype: np.dtype, columns: tuple[int, ...]) -> None:
        super().__init__(target)
        self._dtype, self._columns = dtype, columns
        self._body = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    def _append(self, batch: np.ndarray) -> None:
        if batch.shape[1:] != self._columns or batch.dtype.newbyteorder("=") != self._dtype:
            raise FunctionError(
                f"a batch has shape {batch.shape} and dtype {batch.dtype}, but the file has shape "
                f"({', '.join(['rows', *map(str, self._columns)])}) and dtype {self._dtype}",
                "return arrays of one dtype and one number of columns",
            )
        self._body.write(np.ascontiguousarray(batch, self._dtype).data)

    def _finish(self) -> None:
        shape = (self.rows, *self._columns)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)
        self._body.seek(0)
        shutil.copyfileobj(self._body, self.file, 1 << 20)
        self._body.close()

    def _abandon(self) -> None:
        self._body.close()
