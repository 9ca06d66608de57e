"""Readers of files of rows, in any common format and compression, local or at a URL."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq

from bisum.corpus.columns import Pick, nested_paths, pick_columns, pick_once
from bisum.corpus.disk import READ_ROWS
from bisum.corpus.formats.csv_format import read_csv, read_tsv
from bisum.corpus.formats.fetching import fetch, options
from bisum.corpus.formats.json_format import read_json, read_json_lines
from bisum.corpus.formats.quoting import Quoting
from bisum.corpus.locations import readable
from bisum.errors import UserError, one_line
from bisum.interfaces.defaults import ConfDefault

_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, pa.ArrowException, OSError)

_EXTRAS = {"s3a": "s3", "gs": "gcs", "az": "abfs", "abfss": "abfs", "https": "http"}
"""Extras of fsspec whose names differ from the protocol."""


def read_file(
    url: str, pick: Pick, quoting: Quoting, *, extension: str | None = None, key: str = "", timeout: float | None = None
) -> Iterator[pa.Table]:
    """Yield tables of the columns that `pick` chooses, under the names that it gives them, in file order.

    Text is UTF-8, or UTF-16 or UTF-32 if a byte order mark or the first bytes indicate it. A CSV file's separator is
    whichever of `,;|` and tab gives its first rows as many values as the header. A JSON file is an array of
    objects, an object that contains one, or JSON lines.

    Args:
        url: a path, or a URL that fsspec reads.
        pick: chooses the columns.
        quoting: meaning of double quotes in CSV and TSV; see `bisum.corpus.files.Files.quoting`.
        extension: overrides the extension in the name.
        key: the configuration key that names the file.
        timeout: seconds to wait for a server's answer, and for each further part of it; None: a corpus's default.

    Raises:
        UserError: the file cannot be read; the message names it and the row (1 is the first after a header) or line.
    """
    with open_file(url, key, timeout) as file:
        extension = extension or split_extension(url)[1]
        if extension in _SEPARATED:
            yield from _SEPARATED[extension](file, readable(url), pick, quoting)
        else:
            yield from _SELF_DESCRIBING[extension](file, readable(url), pick)


@contextmanager
def open_file(url: str, key: str = "", timeout: float | None = None) -> Iterator[IO[bytes]]:
    """Open a file, decompressed according to its name; read errors in the block become a UserError."""
    compression, _ = split_extension(url)
    with ExitStack() as stack:
        timeout = timeout or ConfDefault("corpus/_base_tables", "timeout")()
        with _reached(url, key, timeout):
            file = stack.enter_context(_opened(url, timeout))
        try:
            if compression:
                plain = _only_member(file, url) if compression == ".zip" else _DECOMPRESSED[compression](file)
                file = stack.enter_context(io.BufferedReader(plain))  # type: ignore[type-var]
            yield file
        except _DAMAGE as error:
            if not compression:
                raise UserError(f"{url}: cannot be read ({one_line(error)})") from error
            name = {".gz": "gzip"}.get(compression, compression[1:])
            remedy = f"copy it again, or drop {compression} from the name if it is plain text"
            raise UserError(f"{url}: damaged {name} file ({one_line(error)}); {remedy}") from error


def split_extension(url: str) -> tuple[str, str]:
    """Return the extensions of a file's compression ("" if none) and format (".csv"), in lower case."""
    names = (re.split("[?;#]", part)[0] if "://" in part else part for part in url.split("::"))  # links of a chain
    suffixes = next(filter(None, (Path(name).suffixes for name in names)), [])
    compression = suffixes.pop().lower() if suffixes and suffixes[-1].lower() in COMPRESSIONS else ""
    return compression, suffixes[-1].lower() if suffixes else ""


def find_urls(pattern: str, key: str, timeout: float) -> list[str]:
    """Return the URLs that match a pattern, in order. Raises `UserError` like `read_file`."""
    with _reached(pattern, key, timeout):
        return sorted(file.full_name for file in fsspec.open_files(pattern, **options(pattern, timeout)))


@contextmanager
def _reached(url: str, key: str, timeout: float) -> Iterator[None]:
    """Turn errors in opening or listing a path or URL into a one-line UserError."""
    place = f"{key}: {url}" if key else url
    try:
        yield
    except (FileNotFoundError, TimeoutError) as error:
        if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):  # fsspec can wrap it
            hint = "; raise corpus.timeout to wait longer" if key.startswith("corpus.") else ""
            raise UserError(f"{place}: the server sent nothing for {timeout:g} seconds{hint}") from error
        reason = f" ({one_line(error.__cause__)})" if error.__cause__ else ""
        raise UserError(f"{place}: no such file{reason}") from error
    except ImportError as error:
        protocol = url.rpartition("::")[2].partition("://")[0]
        raise UserError(f"{place}: {error}: pip install 'fsspec[{_EXTRAS.get(protocol, protocol)}]'") from error
    except Exception as error:  # the type depends on the library that opens the URL
        raise UserError(f"{place}: {getattr(error, 'strerror', None) or one_line(error)}") from error


def _opened(url: str, timeout: float) -> IO[bytes]:
    """Open a path or URL."""
    if "://" not in url:
        return Path(url).expanduser().open("rb")
    return io.BytesIO(fetch(url, timeout))


def _only_member(file: IO[bytes], url: str) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    members = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
    if len(members) != 1:
        raise UserError(f"{url}: contains {len(members)} files; keep one, or name one as in zip://FILE::{url}")
    return archive.open(members[0])


_DECOMPRESSED: Mapping[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda file: pa.CompressedInputStream(file, "zstd"),
}


def _read_parquet(file: IO[bytes], url: str, pick: Pick) -> Iterator[pa.Table]:
    try:
        parquet = pq.ParquetFile(file if file.seekable() else pa.BufferReader(file.read()))
        paths = pick_once(nested_paths(parquet.schema_arrow), pick, url, "schema")
        names = sorted({path[0] for path in paths.values()})
        for batch in parquet.iter_batches(READ_ROWS, columns=names):
            yield pick_columns(pa.Table.from_batches([batch]), paths)
    except pa.ArrowException as error:
        raise UserError(f"{url}: not a valid Parquet file ({one_line(error)})") from error


_SEPARATED: Mapping[str, Callable[[IO[bytes], str, Pick, Quoting], Iterator[pa.Table]]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
}

_SELF_DESCRIBING: Mapping[str, Callable[[IO[bytes], str, Pick], Iterator[pa.Table]]] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".parquet": _read_parquet,
}

FORMATS = (*_SEPARATED, *_SELF_DESCRIBING)
"""Extensions of the formats."""

COMPRESSIONS = (*_DECOMPRESSED, ".zip")
"""Extensions that can follow a format's extension."""
