"""A short training on the sample, and cards written from changed copies of its record."""

import json
import shutil
from types import SimpleNamespace

import pytest
from markdown_it import MarkdownIt
from trained_model import trained
from training_runs import read, small

from bisum import Summarizer

__all__ = ["read", "small", "trained"]


@pytest.fixture(scope="session")
def reader(trained):
    return Summarizer(trained).loaded


@pytest.fixture
def card(trained, reader, tmp_path):
    """Write the card of a run: `card(change, checkpoint)` with a function that changes its record.

    Only with `metrics` does the run have `metrics.jsonl`, and the card a figure, which takes a second.
    """
    # pytest can import this file before tests/conftest.py has set the client's variables.
    from huggingface_hub import ModelCard

    from bisum.hub.card import write_card

    def write(change=None, checkpoint=None, metrics=False, repo_id="me/small", license=None, reader=reader):
        run, folder = tmp_path / "run", tmp_path / "card"
        folder.mkdir(exist_ok=True)
        run.mkdir(exist_ok=True)
        record = json.loads((trained / "run.json").read_text("utf-8"))
        if metrics:
            shutil.copy(trained / "metrics.jsonl", run)
        if change is not None:
            change(record)
        (run / "run.json").write_text(json.dumps(record), "utf-8")
        name = checkpoint or record["test"]["checkpoint"]
        write_card(run, folder, name, reader, repo_id, license)
        loaded = ModelCard.load(folder / "README.md")
        tokens = MarkdownIt("commonmark").enable("table").parse(loaded.text)
        return SimpleNamespace(
            text=loaded.text,
            data=loaded.data,
            record=record,
            folder=folder,
            tables=list(_tables(tokens)),
            headings=[tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"],
            html=MarkdownIt("commonmark", {"html": True}).enable("table").render(loaded.text),
        )

    return write


def _tables(tokens):
    """The tables of a page, as lists of rows of plain cells."""
    rows = []
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            inline = tokens[at + 1].children
            rows[-1].append("".join(child.content for child in inline if child.type != "html_inline"))
        elif token.type == "table_close":
            yield rows
            rows = []
