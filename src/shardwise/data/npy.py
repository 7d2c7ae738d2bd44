"""NumPy ``.npy`` files as a source."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from shardwise.data.base import BaseSource, array_batch_rows, check_batch_rows, even_batches
from shardwise.data.paths import FileInfo, Options, PathLike, expand, file_identity, open_file
from shardwise.data.schema import array_columns, array_schema, numeric_dtype
from shardwise.data.seekable import local_path
from shardwise.data.source import Batch, Fragment, Kind
from shardwise.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class Header:
    """What a ``.npy`` file says before its data begins at byte ``offset``."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int

    @property
    def end(self) -> int:
        """Bytes that the file must have."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class NpySource(BaseSource):
    """Arrays in files, equal but for their number of rows."""

    files: tuple[FileInfo, ...]
    headers: tuple[Header, ...]
    schema: pa.Schema
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)
    kind: Kind = "array"

    @property
    def remote_safe(self) -> bool:
        """Files can be read from anywhere."""
        return True

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Yield slices of the mapped file; of a remote one, the bytes of each batch are fetched."""
        numbers = array_columns(self.schema, columns)
        for fragment, begin, end in self.spans(first, last):
            rows = self._rows(fragment)
            for index in range(begin, end):
                start = index * self.batch_rows
                data = rows[start : min(start + self.batch_rows, self.headers[fragment].shape[0])]
                native = data.astype(data.dtype.newbyteorder("="), copy=False)
                yield Batch(fragment, index, native if numbers is None else native[:, numbers])

    def identity(self) -> dict[str, Any]:
        """Name the files as they were when their headers were read."""
        return {
            "format": "npy",
            "files": [file_identity(file) for file in self.files],
            "batch_rows": self.batch_rows,
        }

    def _rows(self, fragment: int) -> Any:
        file, header = self.files[fragment], self.headers[fragment]
        path = local_path(file)
        if path is None:
            return _RemoteRows(file, header, self.storage_options)
        order: Literal["F", "C"] = "F" if header.fortran else "C"
        try:
            mapped = np.memmap(path, header.dtype, "r", header.offset, header.shape, order)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{file.url}: cannot be mapped any more: {error}", "run again with the file in place"
            ) from error
        return mapped.view(np.ndarray)


def read_npy(
    paths: PathLike | Iterable[PathLike], *, batch_rows: int | None = None, storage_options: Options | None = None
) -> NpySource:
    """Describe ``.npy`` files of one or two dimensions and any numeric dtype, in C or Fortran order.

    Parameters
    ----------
    paths : path, or iterable of paths
        Files, directories, globs or URLs; all with the same dtype and number of columns.
    batch_rows : int, optional
        Rows of a batch; by default about 4 MiB, at most 131 072 rows, as the first file says.
    storage_options : dict, optional
        Given to fsspec for URLs; never stored.

    Returns
    -------
    NpySource

    Raises
    ------
    UsageError
        If an array has more than two dimensions, or a dtype without numeric columns (structures, text, objects).
    InputError
        If a file is missing, damaged, not ``.npy``, or differs from the first one.
    """
    options = storage_options or {}
    files = tuple(expand(paths, (".npy",), options))
    headers = tuple(_header(file, options) for file in files)
    for file, header in zip(files, headers):
        _check_same(files[0], headers[0], file, header)
    if batch_rows is None:
        batch_rows = array_batch_rows(headers[0].shape[0], headers[0].dtype.itemsize * math.prod(headers[0].shape[1:]))
    check_batch_rows(batch_rows)
    native = numeric_dtype(headers[0].dtype, files[0].url)
    schema = array_schema(native, None if len(headers[0].shape) == 1 else headers[0].shape[1])
    fragments = tuple(
        Fragment(file.url, even_batches(header.shape[0], batch_rows), header.shape[0], file.size)
        for file, header in zip(files, headers)
    )
    return NpySource(fragments, batch_rows, files, headers, schema, options)


def _header(file: FileInfo, options: dict[str, Any]) -> Header:
    try:
        with open_file(file.url, options) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(stream)
            header = Header(shape, fortran, dtype, stream.tell())
    except (ValueError, EOFError) as error:
        raise InputError(
            f"{file.url}: cannot be read as .npy ({file.size} bytes): {error}",
            "write it with numpy.save, or leave it out",
        ) from error
    if len(shape) not in (1, 2):
        raise UsageError(f"{file.url}: {len(shape)} dimensions", "reshape it to rows and columns before saving it")
    numeric_dtype(dtype, file.url)
    if file.size is not None and file.size < header.end:
        raise InputError(
            f"{file.url}: {file.size} bytes, but shape {shape} of {dtype} needs {header.end}", "write or copy it again"
        )
    return header


def _check_same(first_file: FileInfo, first: Header, file: FileInfo, header: Header) -> None:
    if header.shape[1:] != first.shape[1:] or len(header.shape) != len(first.shape):
        raise InputError(
            f"{file.url}: shape {header.shape}, but {first.shape} in {first_file.url}",
            "read files with different columns apart",
        )
    if header.dtype.newbyteorder("=") != first.dtype.newbyteorder("="):
        raise InputError(
            f"{file.url}: dtype {header.dtype}, but {first.dtype} in {first_file.url}", "save both with the same dtype"
        )


@dataclass(frozen=True, slots=True)
class _RemoteRows:
    """Rows of a file that cannot be mapped: each slice is fetched, column by column in Fortran order."""

    file: FileInfo
    header: Header
    options: dict[str, Any]

    def __getitem__(self, rows: slice) -> np.ndarray:
        header, count = self.header, rows.stop - rows.start
        width = math.prod(header.shape[1:])
        with open_file(self.file.url, self.options) as stream:
            if not header.fortran:
                return self._values(stream, rows.start * width, count * width).reshape(count, *header.shape[1:])
            columns = [self._values(stream, column * header.shape[0] + rows.start, count) for column in range(width)]
        return np.stack(columns, axis=1).reshape(count, *header.shape[1:])

    def _values(self, stream: Any, start: int, count: int) -> np.ndarray:
        size = self.header.dtype.itemsize
        stream.seek(self.header.offset + start * size)
        data = stream.read(count * size)
        if len(data) != count * size:
            raise InputError(f"{self.file.url}: ends before its last row", "write or copy it again")
        return np.frombuffer(data, self.header.dtype)
