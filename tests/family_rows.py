"""Rows in three languages, and what tests of families do with them."""

import pytest

from bisum.errors import UserError

ROWS = [
    ("en", "A text editor.\nIt highlights the syntax of many languages and is small.", "Small text editor"),
    ("es", "El niño está aquí: mañana llega el año nuevo.", "El año nuevo llega mañana"),
    ("de", "Ein kleines Programm, das Wörter zählt und Übersetzungen prüft.", "Zählt und prüft Wörter"),
    ("en", "Games.", "Games\nfor children"),
    (
        "es",
        "Herramientas para administrar un servidor de correo. " * 9,
        "Herramientas de correo para un servidor pequeño",
    ),
    ("es", "Biblioteca de cálculo simbólico, con funciones y gráficos.", "cálculo"),
]
LANGUAGES, DOCUMENTS, SUMMARIES = (list(column) for column in zip(*ROWS, strict=True))
DECODING = {
    "greedy": {"num_beams": 1},
    "beams": {"num_beams": 3, "length_penalty": 0.4, "early_stopping": False},
}


def encoded(loaded):
    return loaded.family.encode(loaded, DOCUMENTS, SUMMARIES, LANGUAGES)


def refusal(call):
    with pytest.raises(UserError) as raised:
        call()
    assert "\n" not in str(raised.value)
    return str(raised.value)
