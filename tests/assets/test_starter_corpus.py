"""The corpus of the starter: the added texts, none of which reveals a held-out row."""

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
            f"{LONG} en parte.\n .\n {ENGLISH} partly.\n .\n Y nada de imágenes. Los archivos son los de la carpeta.",
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
    "zip, cal, links, board, tetris, added, renamed, other, english,\n partly, short, browser, guide, paint, viewer\n",
    "debian-11": "Package: lynx\nBinary: lynx,\n moved\n",
}

APPLICATIONS = """\
---
File: DEP-11
Version: '1.0'
---
Type: desktop-application
ID: org.example.Paint
Package: paint
Summary:
  C: A program that draws
  es: Un programa que dibuja
Description:
  C: <p>This program draws <em>pictures</em> &amp; saves them.</p><ul><li>It has many colours and brushes.</li></ul>
  es: <p>Este programa es de dibujo &amp; guarda los archivos.</p><p>La carpeta del usuario es de los ficheros.</p>
---
Type: desktop-application
ID: org.example.Paint
Package: paint
Summary:
  C: A program that draws
Description:
  C: <p>An older text of the same package about a program that draws pictures.</p>
---
Type: desktop-application
ID: org.example.Chess
Package: chess
Summary:
  C: A program that plays
Description:
  C: <p>This program of a held-out source package plays the old game for two players.</p>
"""
MALLARD = """\
<page xmlns="http://projectmallard.org/1.0/" id="save" xml:lang="es">
  <info>
    <credit><name>Una autora de la guía</name></credit>
    <desc>Guardar los ficheros en una carpeta del usuario.</desc>
    <license><p>Una licencia de la guía.</p></license>
  </info>
  <title>Guardar los ficheros</title>
  <p>Este programa guarda los <em>ficheros</em> en una carpeta del usuario.</p>
  <section><title>Los archivos de la carpeta</title>
    <p>Los archivos de la carpeta son los que el programa guarda para el usuario.</p>
    <code>guardar --todo</code>
    <list><item><p>Un solo archivo.</p></item></list>
  </section>
</page>
"""
DOCBOOK = """\
<!DOCTYPE article [<!ENTITY app "Visor">]>
<article lang="es"><articleinfo><title>Manual de una autora</title><para>Licencia.</para></articleinfo>
<sect1><title>Los ficheros de una carpeta</title>
<figure><title>Una imagen de la carpeta</title></figure><para>El programa muestra los ficheros de una carpeta,
  uno en cada l&iacute;nea, y los archivos del usuario.</para>
<para>El viejo juego para dos, de los que este programa es el segundo.</para></sect1></article>
"""
HTML = """\
<html><head><title>Ayuda</title><style>p {}</style></head><body><header><p>Ayuda de la consola.</p></header>
<h1>1.2. El navegador de la consola ¶</h1><p>Este <code>programa</code> muestra las<br>
páginas de los archivos en la consola, sin los bloques de una carpeta.</p><h2>Corto</h2><p>Nada.</p>
<h2>Los bloques de la guía</h2><p>1.1. Los ficheros de una carpeta del usuario en un solo archivo</p>
<p>1.2. Los archivos de una carpeta del usuario en un solo fichero</p></body></html>
"""
MANUAL = r"""
.TH VIEWER 1
.SH NOMBRE
viewer \- muestra los ficheros de una carpeta
.SH DESCRIPCIÓN
.PP
.B viewer
muestra los \fIficheros\fR de una carpeta del usuario, uno en cada \(lqlínea\(rq.
.nf
viewer \-\-todo
.fi
.TP
.BR \-a ", " \-\-all
Muestra los archivos, que son todos los de la carpeta.
.SH OPCIONES
Nada.
"""


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
    with gzip.open(indices / "debian-12-Components.yml.gz", "wt", encoding="utf-8") as file:
        file.write(APPLICATIONS)
    packages = tmp_path / "packages"
    for name, text in {
        "guide/usr/share/help/es/guide/save.page": MALLARD,
        "guide/usr/share/help/fr/guide/save.page": MALLARD,  # another language
        "chess/usr/share/help/es/chess/save.page": MALLARD,  # from the source package of a test row
        "viewer/usr/share/gnome/help/viewer/es/viewer.docbook": DOCBOOK,
        "browser/usr/share/doc/browser/html/index.es.html": HTML,
    }.items():
        (packages / name).parent.mkdir(parents=True)
        (packages / name).write_text(text, "utf-8")
    manuals = packages / "viewer/usr/share/man/es/man1"
    manuals.mkdir(parents=True)
    (manuals / "viewer.1.gz").write_bytes(gzip.compress(MANUAL.encode()))
    held_out = MANUAL.replace("viewer", "chess").replace("una carpeta", "la consola")  # a held-out package's command
    (manuals / "chess.1.gz").write_bytes(gzip.compress(held_out.encode()))
    main(str(tmp_path / "descriptions"), indices, packages, tmp_path / "corpus")
    return tmp_path / "corpus"


def test_translations_that_reveal_no_held_out_row_are_added(corpus):
    rows = pq.read_table(corpus / "descriptions/train.parquet").to_pylist()
    assert [row["id"].rsplit("_", 1)[0] for row in rows] == [
        *("en_zip", "en_cal", "es_zip", "es_tetris", "es_added", "es_partly", "en_paint", "es_paint"),
    ]
    added, partly = rows[4:6]
    assert (added["summary"], added["document"]) == ("programa de ficheros", f"{LONG} nuevo.")
    assert partly["document"] == f"{LONG} en parte.\nY nada de imágenes. Los archivos son los de la carpeta."
    assert {row["language"] for row in rows[4:6]} == {"es"}


def test_applications_are_added_without_markup(corpus):
    english, spanish = pq.read_table(corpus / "descriptions/train.parquet").to_pylist()[-2:]
    assert english["summary"] == "A program that draws"
    assert english["document"] == "This program draws pictures & saves them.\nIt has many colours and brushes."
    assert spanish["document"] == (
        "Este programa es de dibujo & guarda los archivos.\nLa carpeta del usuario es de los ficheros."
    )


def test_sections_of_pages_are_added_with_their_titles(corpus):
    rows = [row for row in pq.read_table(corpus / "all/train.parquet").to_pylist() if row["category"] == "page"]
    assert {row["language"] for row in rows} == {"es"}
    assert {row["summary"]: row["document"] for row in rows} == {
        "El navegador de la consola": (
            "Este programa muestra las\npáginas de los archivos en la consola, sin los bloques de una carpeta."
        ),
        "Guardar los ficheros en una carpeta del usuario.": (
            "Este programa guarda los ficheros en una carpeta del usuario.\n"
            "Los archivos de la carpeta son los que el programa guarda para el usuario.\nUn solo archivo."
        ),
        "Los archivos de la carpeta": (
            "Los archivos de la carpeta son los que el programa guarda para el usuario.\nUn solo archivo."
        ),
        "Los ficheros de una carpeta": (
            "El programa muestra los ficheros de una carpeta, uno en cada línea, y los archivos del usuario.\n"
            "El viejo juego para dos, de los que este programa es el segundo."
        ),
        "muestra los ficheros de una carpeta": (
            "viewer muestra los ficheros de una carpeta del usuario, uno en cada “línea”.\n"
            "-a, --all Muestra los archivos, que son todos los de la carpeta."
        ),
    }


def test_later_paragraphs_are_added_with_their_first_sentence(corpus):
    rows = [row for row in pq.read_table(corpus / "all/train.parquet").to_pylist() if row["category"] == "paragraph"]
    assert {(row["id"].rsplit("_", 1)[0], row["document"], row["summary"]) for row in rows} == {
        (
            "es_partly",
            "Y nada de imágenes. Los archivos son los de la carpeta.",
            "Y nada de imágenes.",
        ),
        *(
            (f"es_{package}", sentence, sentence)
            for package, sentence in (
                ("browser", "páginas de los archivos en la consola, sin los bloques de una carpeta."),
                ("guide", "Los archivos de la carpeta son los que el programa guarda para el usuario."),
                ("viewer", "-a, --all Muestra los archivos, que son todos los de la carpeta."),
            )
        ),
    }  # not the second paragraph of the viewer's manual, which is a test row's document


def test_training_rows_are_recorded_as_hashes(corpus):
    hashes = np.load(corpus / "training_rows.npz")
    assert {name: len(hashes[name]) for name in hashes if name != "fingerprint"} == {
        **{"held_out": 2, "package": 9, "source": 1, "document": 17, "summary": 17},
    }
    assert {crc32(b"zip"), crc32(b"added")} <= set(hashes["package"].tolist())
    assert crc32(b"programa de ficheros") in hashes["summary"]
