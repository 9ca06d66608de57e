"""A family such as a user writes."""

from dataclasses import dataclass

from bisum.models.families import T5


@dataclass(frozen=True, kw_only=True)
class Instructed(T5):
    """Asks in the language of each document, of those that it has an instruction in."""

    instructions: dict

    def encode(self, reader, documents, summaries, languages):
        told = [f"{self.instructions[code]} {text}" for text, code in zip(documents, languages, strict=True)]
        return super().encode(reader, told, summaries, languages)
