"""Base class of sources that read a user's tables: columns by name, languages, ids, and missing splits."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Le, Lt

from bisum.corpus.blank import is_blank
from bisum.corpus.columns import Columns, Pick
from bisum.corpus.languages import tools_for
from bisum.corpus.row_reader import RowReader
from bisum.errors import UserError, shown
from bisum.interfaces.defaults import from_conf
from bisum.interfaces.language import Language
from bisum.interfaces.source import COLUMNS, SPLITS, RowSettings

if TYPE_CHECKING:
    import pyarrow as pa

Part = tuple[str, Callable[[Pick], "Iterable[pa.Table]"]]
"""A readable name of one table (a file's name), and a function that reads the picked columns in pieces."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tables(RowSettings, ABC):
    """A corpus in tables with arbitrary column names.

    A split without a table takes its share of train's rows: those whose group (`columns.group`, otherwise the id,
    otherwise the document) has a SHA-256 in the share's range. A row's split therefore depends on no other row or seed.

    Rows without an id are numbered `en-1`, `en-2`, ... in each split. If ids occur in several languages, they get the
    language as a prefix in the same way.
    """

    columns: Columns = from_conf("corpus/_base_tables", "columns", Columns)
    """The names of the columns."""

    language: Language | None = from_conf("corpus/_base_tables", "language")
    """The language of all rows (null: a column, the path or the configuration states it, or there is only one)."""

    validation_share: Annotated[float, Gt(0), Lt(1)] = from_conf("corpus/_base_tables", "validation_share")
    """Share of train's rows that become validation if it has no table (0 to 1)."""

    test_share: Annotated[float, Gt(0), Lt(1)] = from_conf("corpus/_base_tables", "test_share")
    """Share of train's rows that become test if it has no table (0 to 1)."""

    timeout: Annotated[float, Gt(0), Le(86_400)] = from_conf("corpus/_base_tables", "timeout")
    """Seconds to wait for a server's answer, and for each further part of it, before giving up."""

    def __post_init__(self) -> None:
        if self.language is not None and not self.language.strip():
            raise UserError(f"language: '{self.language}' is not a language code; use codes such as en, es, pt_BR")
        if self.validation_share + self.test_share >= 1:
            raise UserError("test_share: leaves train no rows; test_share + validation_share must be below 1")

    @property
    @abstractmethod
    def per_language(self) -> bool:
        """Whether each language has its own tables."""

    @abstractmethod
    def parts(self, language: str | None) -> Mapping[str, Sequence[Part]]:
        """Return the tables of a language, or all tables if it is None, for each split that has any."""

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """See `Source.load`."""
        import pyarrow as pa

        found = {key: self.parts(key) for key in (languages if self.per_language else [None])}
        reader = RowReader(self.columns)
        unused: Counter[str] = Counter()
        splits: dict[str, dict[str, pa.Table]] = {split: {} for split in SPLITS}
        for key, parts in found.items():
            for split, tables in parts.items():
                rows = _numbered([reader.read(*part) for part in tables])
                splits[split] |= self._by_language(rows, key, languages, split, unused)
        if unused:
            counts = [f"{rows:,} in {language}" for language, rows in unused.most_common(10)]
            counts += [f"others in {len(unused) - 10:,} languages"] if len(unused) > 10 else []
            total, requested = f"{unused.total():,}", ",".join(languages)
            known = {tools_for(language).language for language in languages} - {None}
            same = [language for language in unused if tools_for(language).language in known]
            hint = f"; other codes for these languages: {', '.join(same[:5])}" if same else ""
            logger.info("%s rows are left out: %s (languages=[%s])%s", total, " and ".join(counts), requested, hint)

        missing = [split for split in SPLITS if not splits[split]]
        by_split = {
            split: _with_ids(tables, hashed=bool(missing) and split == "train")
            for split, tables in splits.items()
            if tables
        }
        if any(_share_ids(tables) for tables in by_split.values()):
            logger.info(
                "ids occur in several languages; each is prefixed with its language, as in %s-...", languages[0]
            )
            by_split = {split: _with_languages(tables) for split, tables in by_split.items()}
        joined = {split: pa.concat_tables(tables.values()) for split, tables in by_split.items()}
        if "train" in joined and missing:
            joined |= self._shares(joined["train"], missing)
        return {split: joined[split].select(COLUMNS) for split in SPLITS if split in joined}

    def _by_language(
        self, rows: pa.Table, key: str | None, languages: Sequence[str], split: str, unused: Counter[str]
    ) -> dict[str, pa.Table]:
        """Return the rows of each language, and add those in other languages to `unused`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from bisum.corpus.disk import filtered

        column = rows["language"]
        unknown = column.null_count == rows.num_rows
        only = key or self.language or (languages[0] if unknown and len(languages) == 1 else None)
        if only is not None:
            if key is None and list(languages) != [only]:
                raise UserError(f"languages: {list(languages)} conflicts with corpus.language, '{only}' for all rows")
            _refuse_other(rows, only)
            return {only: rows.drop_columns("language").append_column("language", pa.repeat(only, rows.num_rows))}
        if unknown:
            raise UserError(
                f"corpus.language: {rows['place'][0]} does not state its language; name its column "
                "(corpus.columns.language=NAME), or set one language for all rows (languages=[en] corpus.language=en)"
            )
        _refuse_empty(rows, "language")
        tables = {language: filtered(rows, pc.equal(column, language)) for language in languages}
        counts = Counter({count["values"]: count["counts"] for count in pc.value_counts(column).to_pylist()})
        for language, table in tables.items():
            if not table.num_rows and (split == "train" or not any(map(len, tables.values()))):
                found = ", ".join(f"{code} ({number:,})" for code, number in counts.most_common(10))
                same = dict.fromkeys(filter(None, (_code_in(counts, language) for language in languages)))
                codes = [*same] if _code_in(counts, language) else []
                if not same and len(counts) <= len(languages):
                    codes = [*counts]
                hint = f"; use {_languages_argument(codes)}" if codes else ""
                raise UserError(f"languages: {split} has no rows in '{language}', only in {found}{hint}")
        unused.update({code: number for code, number in counts.items() if code not in languages})
        return tables

    def _shares(self, train: pa.Table, missing: Sequence[str]) -> dict[str, pa.Table]:
        """Return train without the shares of the missing splits, and those splits."""
        from bisum.corpus.disk import filtered

        positions = train["position"].to_numpy()
        taken, shares = 0.0, {"test": self.test_share, "validation": self.validation_share}
        splits = {}
        for split in filter(missing.__contains__, shares):
            splits[split] = filtered(train, (positions >= taken) & (positions < taken + shares[split]))
            taken += shares[split]
            if not splits[split].num_rows:
                rows = f"{train.num_rows:,} row{'s' * (train.num_rows != 1)}"
                problem = f"{shares[split]} of {rows} leaves {split} empty"
                raise UserError(f"corpus.{split}_share: {problem}; raise it, or set corpus.{split}")
        splits["train"] = filtered(train, positions >= taken)
        sizes = ", ".join(f"{splits[split].num_rows:,} {split}" for split in SPLITS if split in splits)
        logger.info("train's rows are split by a hash: %s (corpus.validation_share, corpus.test_share)", sizes)
        return splits


def _numbered(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables and number all rows in the column `number`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbered, before = [], 0
    for table in tables:
        numbered.append(table.append_column("number", pc.add(table["row"], before)))
        before += pc.max(table["row"]).as_py() or 0
    return pa.concat_tables(numbered)


def _code_in(counts: Mapping[str, int], language: str) -> str | None:
    """Return the code of a language in a table: itself, or another code of the same language."""
    same = (code for code in counts if tools_for(code).language == tools_for(language).language)
    return language if language in counts else next(same, None)


def _languages_argument(codes: Sequence[str]) -> str:
    """Return the setting of `languages` as a shell and Hydra read it."""
    if all(re.fullmatch(r"[\w-]+", code, re.ASCII) for code in codes):
        return f"languages=[{','.join(codes)}]"
    return f"'languages={json.dumps(codes, ensure_ascii=False, separators=(',', ':'))}'"


def _with_ids(tables: Mapping[str, pa.Table], *, hashed: bool) -> dict[str, pa.Table]:
    """Give each row of each language an id; with `hashed`, also `position`, which determines its split."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from bisum.corpus.strings import repeated

    identified = {}
    for language, rows in tables.items():
        given = rows["id"].null_count < rows.num_rows
        if given:
            _refuse_empty(rows, "id")
        ids = rows["id"] if given else pc.binary_join_element_wise(language, rows["number"].cast("string"), "-")
        parts = pc.binary_join_element_wise(ids, rows["part"].cast("string"), "-")
        if hashed:
            rows = rows.append_column("position", pa.array(_positions(rows), pa.float64()))
        rows = rows.set_column(rows.column_names.index("id"), "id", pc.coalesce(parts, ids))
        identified[language] = rows
        if (twice := repeated(rows["id"])) is not None:
            first, second = rows.filter(pc.equal(rows["id"], twice)).slice(0, 2).to_pylist()
            other = "" if second["place"] == first["place"] else f"{second['place']}, "
            raise UserError(
                f"{first['place']}, row {first['row']} and {other}row {second['row']}: both have the id "
                f"'{twice}'; ids must be unique (corpus.columns.id=null numbers the rows instead)"
            )
    return identified


def _share_ids(tables: Mapping[str, pa.Table]) -> bool:
    import pyarrow as pa

    from bisum.corpus.strings import repeated

    return repeated(pa.concat_tables(tables.values())["id"]) is not None


def _with_languages(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    import pyarrow.compute as pc

    return {
        language: rows.set_column(
            rows.column_names.index("id"), "id", pc.binary_join_element_wise(language, rows["id"], "-")
        )
        for language, rows in tables.items()
    }


def _refuse_other(rows: pa.Table, language: str) -> None:
    import pyarrow.compute as pc

    differs = pc.and_not(pc.not_equal(rows["language"], language), is_blank(rows["language"]))
    for row in rows.filter(differs).slice(0, 1).to_pylist():
        raise UserError(
            f"{row['place']}, row {row['row']}: language is {shown(row['language'])}; must be '{language}', like all "
            "rows there (corpus.columns.language=null ignores the column)"
        )


def _refuse_empty(rows: pa.Table, column: str) -> None:
    import pyarrow.compute as pc

    empty = rows.filter(pc.fill_null(is_blank(rows[column]), True)).slice(0, 1).to_pylist()
    for row in empty:
        raise UserError(f"{row['place']}, row {row['row']}: missing {column}; set it on every row or on none")


def _positions(rows: pa.Table) -> Iterator[float]:
    """Yield each row's uniformly distributed position in [0, 1): the first 8 bytes of the SHA-256 of its group."""
    import pyarrow.compute as pc

    from bisum.corpus.disk import batches_of

    for batch in batches_of(rows.select(["group", "id", "document"])):
        for group in pc.coalesce(*batch.columns).to_pylist():
            yield int.from_bytes(hashlib.sha256((group or "").encode()).digest()[:8], "big") / 2**64
