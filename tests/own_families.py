"""A model family as written by a user."""

from dataclasses import dataclass

from bisum.models.families import T5


@dataclass(frozen=True, kw_only=True)
class Instructed(T5):
    """Prepends an instruction in the language of each document."""

    instructions: dict

    def encode(self, reader, documents, summaries, languages):
        instructed = [f"{self.instructions[code]} {text}" for text, code in zip(documents, languages, strict=True)]
        return super().encode(reader, instructed, summaries, languages)
