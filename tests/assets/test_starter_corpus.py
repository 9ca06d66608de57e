"""The corpus of the starter: the added translations, none of which reveals a held-out row."""

import gzip
import json
import lzma
from zlib import crc32

import numpy as np
import pyarrow.parquet as pq
import pytest

from bisum.assets.starter.make_corpus import main

DESCRIPTIONS = {
    ("train", "en"): [
        ("zip", "archiver for zip files", "This is a program that packs the files of a folder into one archive file."),
        ("cal", "calendar for the console", "Shows the days of the month, and which of them is the day of today."),
        ("chess-data", "boards and pieces", "The boards and the pieces that are needed to show a game of this kind."),
        ("moved", "a program that was moved", "Once it was built together with another one, and now it is on its own."),
        ("links", "another browser", "This program shows the pages of the Web, on a console: without pictures."),
        ("board", "Game of chess", "A board on which two players can play, who sit at one and the same console."),
        ("stray", "a program of no source", "Nobody can tell which source package this program has been built from."),
    ],
    ("train", "es"): [
        ("zip", "archivador de ficheros zip", "Este programa guarda los ficheros de una carpeta en un solo archivo."),
        ("tetris", "juego de bloques", "Un juego en el que los bloques que caen se colocan sin dejar ningún hueco."),
    ],
    ("dev", "en"): [("lynx", "web browser", "This program shows the pages of the web on a console, without pictures.")],
    ("dev", "es"): [
        ("lynx", "navegador web", "Este programa muestra las páginas de la web en la consola, sin imágenes.")
    ],
    ("test", "en"): [
        ("chess", "game of chess", "The old game for two players, of whom this program plays the second.")
    ],
    ("test", "es"): [("chess", "juego de ajedrez", "El viejo juego para dos, de los que este programa es el segundo.")],
}
LONG = "Este es un programa de los que guardan los ficheros en una carpeta del usuario"
ENGLISH = "This is a program that packs the files of the folder into one archive"
TRANSLATIONS = {  # package, MD5 of the English text, summary, document
    "debian-12": [
        ("added", "1", "programa de ficheros", f"{LONG} nuevo."),
        ("chess-data", "2", "programa del usuario", f"{LONG} de datos."),  # from the source package that builds chess
        ("chess", "3", "programa con dos archivos", f"{LONG} que juega."),
        ("renamed", "3", "programa con otro archivo", f"{LONG} que jugaba."),  # chess' English text, elsewhere
        ("other", "4", "Juego de  ajedrez", f"{LONG} otro."),  # the summary of a test row
        ("english", "5", "archive program for the files", f"{LONG} en parte."),
        (
            "partly",
            "6",
            "programa en un archivo",
            f"{LONG} en parte.\n .\n {ENGLISH} partly.\n .\n Y nada de imágenes.",
        ),
        ("short", "7", "programa del archivo", "Este es un programa."),
        ("browser", "10", "navegador de la consola", DESCRIPTIONS["dev", "es"][0][2]),  # the document of a held-out row
        ("stray-es", "11", "programa sin fuente", f"{LONG} sin fuente."),  # without a known source
        ("zip", "8", "programa de los ficheros zip", f"{LONG} en zip."),  # already has a row
    ],
    "debian-11": [
        ("added", "1", "programa viejo de ficheros", f"{LONG} viejo."),
        ("moved", "9", "programa que se movió", f"{LONG} que se movió."),  # lynx' source package built it once
    ],
}
SOURCES = {
    "debian-12": "Package: chess\nBinary: chess, chess-data\n\nPackage: moved\nBinary: moved\n\nPackage: many\nBinary: "
    "zip, cal, links, board, tetris, added, renamed, other, english,\n partly, short, browser\n",
    "debian-11": "Package: lynx\nBinary: lynx,\n moved\n",
}


@pytest.fixture
def corpus(tmp_path):
    for (split, language), rows in DESCRIPTIONS.items():
        folder = tmp_path / "descriptions/json" / split
        folder.mkdir(parents=True, exist_ok=True)
        columns = ("product_id", "review_title", "review_body")
        fixed = {"language": language, "product_category": "utils", "reviewer_id": "debian", "stars": "1"}
        lines = [
            {"review_id": f"{language}_{row[0]}_12345678", **fixed, **dict(zip(columns, row, strict=True))}
            for row in rows
        ]
        (folder / f"dataset_{language}_{split}.json").write_text("\n".join(map(json.dumps, lines)))
    indices = tmp_path / "indices"
    indices.mkdir()
    for release, rows in TRANSLATIONS.items():
        text = "\n".join(
            f"Package: {package}\nDescription-md5: {md5}\nDescription-es: {summary}\n {document}\n"
            for package, md5, summary, document in rows
        )
        with lzma.open(indices / f"{release}-Translation-es.xz", "wt", encoding="utf-8") as file:
            file.write(text)
    with gzip.open(indices / "debian-12-Sources.gz", "wt", encoding="utf-8") as file:
        file.write(SOURCES["debian-12"])
    (indices / "debian-11-Sources").write_text(SOURCES["debian-11"], "utf-8")
    main(str(tmp_path / "descriptions"), indices, tmp_path / "corpus")
    return tmp_path / "corpus"


def test_translations_that_reveal_no_held_out_row_are_added(corpus):
    rows = pq.read_table(corpus / "train.parquet").to_pylist()
    assert [row["id"].rsplit("_", 1)[0] for row in rows] == [
        *("en_zip", "en_cal", "es_zip", "es_tetris", "es_added", "es_partly"),
    ]
    added, partly = rows[-2:]
    assert (added["summary"], added["document"]) == ("programa de ficheros", f"{LONG} nuevo.")
    assert partly["document"] == f"{LONG} en parte.\nY nada de imágenes."
    assert {row["language"] for row in rows[-2:]} == {"es"}


def test_training_rows_are_recorded_as_hashes(corpus):
    hashes = np.load(corpus / "training_rows.npz")
    assert {name: len(hashes[name]) for name in hashes if name != "fingerprint"} == {
        **{"held_out": 2, "package": 5, "source": 1, "document": 6, "summary": 6},
    }
    assert {crc32(b"zip"), crc32(b"added")} <= set(hashes["package"].tolist())
    assert crc32(b"programa de ficheros") in hashes["summary"]
