"""`bisum explore`: describe a corpus before training, in tables, plots and a JSON file."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.text import Text

from bisum.commands.rows import record_corpus
from bisum.config.model_source import located
from bisum.config.schema import Config, ExploreConfig
from bisum.corpus import exploration
from bisum.corpus.corpus import Corpus, count_languages, drop_blank, read_splits, select_rows
from bisum.corpus.disk import large_tables_in
from bisum.corpus.exploration import TEXTS, Tokens
from bisum.corpus.languages import tools_for
from bisum.display import corpus_tables, plots
from bisum.display.plots import Histogram
from bisum.display.quiet import libraries_for, quiet_libraries
from bisum.interfaces.family import TextReader
from bisum.printing import as_json
from bisum.records.run import Run, recorded
from bisum.runs.files import replace_file


def run(config: Config, directory: Path) -> None:
    """Describe the configured corpus, and record the description."""
    assert isinstance(config, ExploreConfig)
    with recorded(directory, config) as record, large_tables_in(Path(config.cache_dir).expanduser()):
        reader = _load_reader(config, record)
        with record.stage("corpus"):
            loaded = read_splits(config.corpus, config.languages)
            refused: list[str] = []
            corpus = select_rows(loaded, config.corpus, config.filter, config.languages, config.seed, refused.append)
            filled = {split: drop_blank(rows) for split, rows in loaded.items()}
        record_corpus(corpus, record)
        for line in refused:
            record.screen.warn(f"{line} (training refuses these rows)")

        explorer = _Explorer(config, record, corpus, filled, trainable=not refused)
        for section in (explorer.samples, explorer.categories, explorer.filters, explorer.repeats, explorer.words):
            with record.stage(section.__name__):
                section()
        if reader is not None and explorer.kept.num_rows:
            explorer.tokens(reader)
        explorer.finish()


def _load_reader(config: Config, run: Run) -> TextReader | None:
    """Return the model's text reader; None, after a note, if the hub cannot be reached."""
    from bisum.models.hub import NotOnHub
    from bisum.models.loading import load_reader

    quiet_libraries(libraries_for(config.corpus))
    try:
        with run.screen.progress("loading the tokenizer"):
            return load_reader(config.model)
    except NotOnHub as error:
        run.screen.note(f"token lengths are skipped: {error}")
        return None


@dataclass
class _Explorer:
    """One exploration. Each section is a method that shows it and collects its numbers, metrics and plots."""

    config: ExploreConfig
    run: Run
    corpus: Corpus
    filled: Mapping[str, pa.Table]
    """The non-blank rows of every split, before any filter."""
    trainable: bool
    """Whether training accepts the kept rows."""
    numbers: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = self.config
        self.languages, self.split = config.languages, config.split
        self.kept = self.corpus.splits[config.split]
        self.width = self.run.screen.console.width
        self.units = {name: "words" if tools_for(name).spaced else "characters" for name in self.languages}
        self.numbers.update(split=config.split, languages=config.languages, fingerprint=self.corpus.fingerprint)

    def samples(self) -> None:
        """Show random rows kept by the filters, with the languages side by side."""
        rows = exploration.sample_rows(self.kept, self.languages, self.config.explore.samples, self.config.seed)
        self.numbers["samples"] = rows
        self._print_title(f"samples of {self.split}: category, reference and document")
        self.run.screen.print(*corpus_tables.samples_tables(rows, self.width))

    def categories(self) -> None:
        """Show the rows per category and language, before any filter."""
        rows, shown = self.filled[self.split], self.config.explore.categories
        counts = exploration.count_categories(rows, self.languages)
        totals = count_languages(rows, self.languages)
        self.numbers["categories"] = [{"category": name, "rows": by_language} for name, by_language in counts.items()]
        if not set(counts) - {None}:
            self._print_title("the corpus has no categories")
            return
        which = f"all {len(counts)}" if len(counts) <= shown else f"{shown} of {len(counts)}"
        self._print_title(f"categories of {self.split} before filters, {which}: rows, share of the language")
        self.run.screen.print(*corpus_tables.categories_tables(counts, totals, shown, self.width))
        title = f"Rows per category, {self.split}, before filters ({which} categories)"
        top = {name: counts[name] for name in list(counts)[:shown]}
        self.files += plots.plot_categories(self._plot_path("categories"), title, top, totals)

    def filters(self) -> None:
        """Show what each filter drops, with examples."""
        count, seed = self.config.explore.dropped, self.config.seed
        effects = exploration.filter_effects(self.filled, self.config.filter, self.languages, count, seed)
        self.numbers["filters"] = []
        if not self.config.filter:
            self._print_title("no filters: all rows are kept")
        for name, row_filter in self.config.filter.items():
            own_effects = [effect for effect in effects if effect.name == name]
            node = self.config.provenance.recorded.config["filter"][name]
            settings, about = corpus_tables.describe_filter(row_filter, node)
            self.numbers["filters"].append(
                {"name": name, "settings": settings, "does": about, "splits": [asdict(e) for e in own_effects]}
            )
            self._print_title(f"filter {name}  {settings}".rstrip())
            self.run.screen.print(
                *([Text(about)] if about else []), corpus_tables.filter_table(own_effects, self.languages)
            )
            for effect in own_effects:
                self.metrics |= {
                    f"explore/{language}/{effect.split}_{name}_dropped": float(rows)
                    for language, rows in effect.dropped.items()
                }
                if effect.split == self.split:
                    for line in corpus_tables.dropped_lines(effect, self.units):
                        self.run.screen.clip(line)

    def repeats(self) -> None:
        """Show rows repeated within a split or across splits."""
        before, after = exploration.find_repeats(self.filled), exploration.find_repeats(self.corpus.splits)
        self.numbers["repeats"] = {"before": [asdict(r) for r in before], "kept": [asdict(r) for r in after]}
        self._print_title("repeated rows before and after filters (ignoring leading and trailing white space)")
        self.run.screen.print(corpus_tables.repeats_table(before, after))
        for line in corpus_tables.repeats_lines(after):
            self.run.screen.clip(line)
        harmful = [r for r in after if r.rows and r.text == ("pair" if r.split == r.of else "document")]
        if harmful and "deduplicate" not in self.config.filter:
            names = ",".join([*self.config.filter, "deduplicate"])
            self.advice.append(f"filter=[{names}] drops repeated pairs, and documents that leak into a later split")
        self.metrics |= {f"explore/{r.split}_in_{r.of}_same_{r.text}": float(r.rows) for r in after}

    def words(self) -> None:
        """Show lengths in words, before and after the filters."""
        lengths = {split: exploration.word_lengths(rows, self.languages) for split, rows in self.corpus.splits.items()}
        before = exploration.word_lengths(self.filled[self.split], self.languages)
        described = self._describe(lengths)
        self.numbers["words"] = described
        self._add_metrics(described[self.split], "words")
        self._print_title(f"lengths of kept {self.split} rows")
        self.run.screen.print(corpus_tables.lengths_table(described[self.split], self.units))
        histograms = {
            language: {
                text: Histogram(lengths=rows, unit=self.units[language], before=before[language][text])
                for text, rows in texts.items()
            }
            for language, texts in lengths[self.split].items()
        }
        unspaced = [language for language, unit in self.units.items() if unit == "characters"]
        units = f"words (in characters for {', '.join(unspaced)})" if unspaced else "words"
        title = f"Length of documents and summaries in {units}, {self.split}"
        self.files += plots.plot_lengths(self._plot_path("words"), title, histograms)

    def tokens(self, reader: TextReader) -> None:
        """Show lengths in tokens as read by training, and the share of rows it would cut."""
        from bisum.commands.vocabulary import estimate_trimming

        counted: dict[str, Tokens] = {}
        special: dict[str, dict[str, dict[str, Counter[str]]]] = {}
        for split, rows in self.corpus.splits.items():
            if rows.num_rows:
                with self.run.stage("tokenization", len(rows)) as bar:
                    counted[split] = exploration.count_tokens(rows, self.languages, reader, bar.advance)
                special[split] = _find_special(rows, self.languages, reader)
        limits = dict(zip(TEXTS, (reader.max_document_tokens, reader.max_summary_tokens), strict=True))
        described = self._describe({split: tokens.lengths for split, tokens in counted.items()})
        for split, language, text in product(described, self.languages, TEXTS):
            if described[split][language][text]["rows"]:
                described[split][language][text] |= {
                    "limit": limits[text],
                    "cut": float(counted[split].cut[language][text].mean()),
                    "unknown": float(counted[split].unknown[language][text].mean()),
                    "special": special[split][language][text].total(),
                }
        self.numbers["tokens"] = described
        self._add_metrics(described[self.split], "tokens")
        self._print_title(f"lengths of kept {self.split} rows in tokens of {self._model_name()}")
        legend = Text("cut: rows longer than the limit; unknown: rows with text that has no token", style="dim")
        self.run.screen.print(legend, corpus_tables.lengths_table(described[self.split]))
        for line in corpus_tables.special_lines(special[self.split], self.split):
            self.run.screen.clip(line)
        self.numbers["vocabulary"] = estimate_trimming(self.run, reader, self.corpus)
        unread = [name for name, texts in described[self.split].items() if texts["document"].get("unknown", 0) > 0.5]
        if unread:
            self.advice.append(f"the tokenizer lacks tokens for much of {', '.join(unread)}; choose another model")
        shown = counted[self.split]
        histograms = {
            language: {
                text: Histogram(lengths=rows, unit="tokens", limit=limits[text], cut=shown.cut[language][text].sum())
                for text, rows in texts.items()
            }
            for language, texts in shown.lengths.items()
        }
        title = f"Length of documents and summaries in tokens of {self._model_name()}, {self.split}, kept rows"
        self.files += plots.plot_lengths(self._plot_path("tokens"), title, histograms)

    def finish(self) -> None:
        """Write the numbers, log the metrics and the plots, and list the files written."""
        path = self.run.directory / "exploration.json"
        replace_file(path, [as_json(self.numbers, indent=1)])
        self.run.log(self.metrics, 0, 0.0)
        for file in self.files:
            if file.suffix == ".png":
                self.run.track_image(f"explore/{file.stem}", file)
        shown = self.run.shown
        self.run.screen.lines(
            "",
            f"run directory  {shown}",
            *(f"plot           {shown / 'plots' / file.name} and .svg" for file in self.files if file.suffix == ".png"),
            f"all numbers    {shown / path.name}",
            *(f"advice         {line}" for line in self.advice),
            *([f"next           {self._training_command()} trains on these rows"] if self.trainable else []),
        )

    def _print_title(self, title: str) -> None:
        self.run.screen.print("", Text(title, style="bold"))

    def _plot_path(self, name: str) -> Path:
        return self.run.directory / "plots" / name

    def _add_metrics(self, described: Mapping[str, Mapping[str, Mapping[str, float]]], unit: str) -> None:
        """Add the lengths of the shown split to the metrics."""
        for language, texts in described.items():
            for text, numbers in texts.items():
                shown = [name for name in ("mean", "p50", "p95", "max", "cut", "unknown") if name in numbers]
                self.metrics |= {f"explore/{language}/{text}_{unit}_{name}": numbers[name] for name in shown}

    def _describe(
        self, lengths: Mapping[str, Mapping[str, Mapping[str, exploration.Integers]]]
    ) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        return {
            split: {
                language: {text: exploration.describe(rows) for text, rows in texts.items()}
                for language, texts in languages.items()
            }
            for split, languages in lengths.items()
        }

    def _model_name(self) -> str:
        checkpoint = self.config.model.checkpoint
        return Path(located(checkpoint)).name if checkpoint else f"model={self.config.provenance.choices.get('model')}"

    def _training_command(self) -> str:
        """Return the command line that trains on the kept rows."""
        overrides = self.config.provenance.overrides
        cannot_trim = "problem" in (self.numbers.get("vocabulary") or {})
        unused = ("explore.", "split=", *(["model.trim_vocabulary="] if cannot_trim else []))
        kept = [override for override in overrides if not override.lstrip("+").startswith(unused)]
        return shlex.join(["bisum", *kept])


def _find_special(rows: pa.Table, languages: Sequence[str], reader: TextReader) -> dict[str, dict[str, Counter[str]]]:
    """Count the documents and summaries of each language that contain a special token of the model, by the token."""
    from bisum.models.text_tokenizer import text_tokenizer

    find, codes = text_tokenizer(reader.tokenizer).find_special, rows["language"].to_pylist()
    counts: dict[str, dict[str, Counter[str]]] = {name: {text: Counter() for text in TEXTS} for name in languages}
    for text in TEXTS:
        for row, token in find(rows[text].to_pylist()).items():
            counts[codes[row]][text][token] += 1
    return counts
