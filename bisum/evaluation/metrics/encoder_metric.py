"""What the metrics with a pretrained encoder have in common. No torch is imported before one is used."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le

from bisum.corpus.languages import tools_for
from bisum.interfaces.language import Language
from bisum.interfaces.metric import Metric
from bisum.interfaces.progress import ShowProgress
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    from bisum.evaluation.metrics.encoders import Encoder

_ANY_LANGUAGE = frozenset(("multilingual", "mul"))


@dataclass(frozen=True, kw_only=True)
class EncoderMetric(Metric):
    """A metric by a pretrained encoder. It scores no rows in languages that the encoder does not know."""

    libraries = ("transformers", "huggingface_hub")
    checkpoint: Name
    """Directory, hub name or `pkg://PACKAGE` of the encoder."""
    revision: Name | None
    """Commit of the hub repository; null: its newest."""
    languages: list[Language] | None
    """Languages that the encoder was trained on; rows in others have no score. null: as its model card says."""
    batch_size: Annotated[int, Ge(1), Le(65_536)]
    """Texts encoded at once; changes speed and memory only."""
    device: Literal["auto", "cpu", "gpu", "tpu"]
    """Where the encoder runs: the GPU for gpu, and for auto if there is one; the CPU otherwise."""

    @abstractmethod
    def load(self) -> Encoder:
        """Return the encoder, loaded once.

        Raises:
            UserError: it cannot be loaded, or is unfit for the metric.
        """

    def prepare(self, languages: Sequence[str], progress: ShowProgress) -> Iterable[str]:
        """Load the encoder; report the languages that it does not know."""
        from bisum.evaluation.metrics.encoders import folder_of

        folder_of(self.checkpoint, self.revision, progress)
        self.load()
        if unknown := self.unknown(languages):
            yield (
                f"'{self.checkpoint}' was not trained on {', '.join(unknown)}; rows in such languages get no "
                f"{next(iter(self.scores))} score"
            )
        if not self._known:
            yield (
                f"the languages of '{self.checkpoint}' are unknown; its scores are meaningless in languages it was not "
                "trained on (languages=[...] states them)"
            )

    def unknown(self, languages: Iterable[str]) -> list[str]:
        """Return the languages that the encoder does not know."""
        known = self._known
        if not known or _ANY_LANGUAGE & {*known}:
            return []
        codes = {tools_for(code).language for code in known}
        return [language for language in dict.fromkeys(languages) if tools_for(language).language not in codes]

    @property
    def _known(self) -> Sequence[str]:
        """The languages of the encoder by the configuration or its card; empty if neither says."""
        from bisum.evaluation.metrics.encoders import card_languages

        return card_languages(self.checkpoint, self.revision) if self.languages is None else self.languages

    def load_as(self, auto_model: Any, **changes: Any) -> Encoder:
        """Return the encoder that a class of transformers loads; `changes` replace entries of its config.json."""
        from bisum.evaluation.metrics.encoders import load_encoder, torch_device

        return load_encoder(auto_model, self.checkpoint, self.revision, torch_device(self.device), **changes)
