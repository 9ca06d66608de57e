"""A corpus of a few reviews in three languages, in the layout of the Multilingual Amazon Reviews Corpus."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

# (category, title, body).
REVIEWS = {
    ("train", "en"): [
        ("book", "Easy to follow", "My daughter learned to knit from this book in a week."),
        ("book", "Disappointing", "The story starts well, but nothing happens after the first hundred pages."),
        ("home", "Great lamp for the price", "Bright, quiet and easy to put together."),
        ("drugstore", "Smells good", "The soap smells of lavender and lasts a month."),
        ("digital_ebook_purchase", "A slow but rewarding read", "It took me a while, and I am glad I finished it."),
        ("home", "Broke after two days", "The handle came off the second time I used it."),
        ("book", "Not what I ordered", "I ordered the hardcover edition and a paperback arrived."),
    ],
    ("train", "es"): [
        ("book", "Un libro que engancha", "Lo empecé el viernes y el domingo ya lo había terminado."),
        ("home", "Llegó roto", "La lámpara llegó con el pie roto y sin tornillos."),
        ("book", "Muy bueno", "Lo recomiendo a quien quiera aprender a cocinar este año."),
        ("digital_ebook_purchase", "No lo he podido descargar", "La descarga falla siempre a la mitad."),
    ],
    ("train", "ja"): [
        ("book", "面白い", "一日で読み終わりました。続きが楽しみです。"),
        ("home", "良い", "明るくて、組み立ても簡単でした。"),
    ],
    ("dev", "en"): [
        ("book", "Lovely pictures, thin plot", "The drawings are lovely, the plot is not."),
        ("home", "Does its job", "The kettle boils a litre in three minutes."),
    ],
    ("dev", "es"): [
        ("book", "Para leer despacio", "Cada cuento merece una tarde entera."),
        ("home", "Buena compra", "La manta abriga mucho y se lava bien."),
    ],
    ("dev", "ja"): [("book", "おすすめの一冊", "子供と一緒に何度も読んでいます。")],
    ("test", "en"): [
        ("book", "A book for every kitchen", "Clear recipes with few ingredients."),
        ("home", "Too small for me", "The chair is fine, but it is made for children."),
    ],
    ("test", "es"): [
        ("book", "Un final inesperado", "Hasta la última página no supe quién era el culpable."),
        ("home", "No funciona bien", "El reloj se atrasa cinco minutos cada día."),
    ],
    ("test", "ja"): [("book", "期待外れの結末", "前半は良かったのですが、結末が残念でした。")],
}


def marc_row(split: str, language: str, number: int, category: str, title: str, body: str) -> dict[str, str]:
    """A row with the corpus's eight columns."""
    return {
        "review_id": f"{language}_{split}_{number}",
        "product_id": f"product_{number}",
        "reviewer_id": f"reviewer_{number}",
        "stars": "4",
        "review_body": body,
        "review_title": title,
        "language": language,
        "product_category": category,
    }


def marc_path(folder: Path, split: str, language: str) -> Path:
    return folder / "json" / split / f"dataset_{language}_{split}.json"


def write_rows(path: Path, rows: list[dict]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def marc(tmp_path: Path) -> Path:
    """A folder with the reviews as plain files."""
    return _write_marc(tmp_path / "marc", suffix="")


@pytest.fixture
def gzipped_marc(tmp_path: Path) -> Path:
    """A folder with the reviews as gzipped files."""
    return _write_marc(tmp_path / "gzipped", suffix=".gz")


def _write_marc(folder: Path, suffix: str) -> Path:
    for (split, language), reviews in REVIEWS.items():
        path = marc_path(folder, split, language)
        rows = [marc_row(split, language, number, *review) for number, review in enumerate(reviews, start=1)]
        write_rows(path.with_name(path.name + suffix), rows)
    return folder


@pytest.fixture
def edit_rows(marc: Path) -> Callable[[str, str, Callable[[list[dict]], None]], Path]:
    """Change the rows of a plain file in place and return its path."""

    def edit(split: str, language: str, change: Callable[[list[dict]], None]) -> Path:
        path = marc_path(marc, split, language)
        rows = read_rows(path)
        change(rows)
        write_rows(path, rows)
        return path

    return edit
