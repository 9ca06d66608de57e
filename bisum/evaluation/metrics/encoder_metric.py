"""Base class of metrics with a pretrained encoder. torch is imported only when one is used."""

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
    """A metric based on a pretrained encoder. Rows in languages that the encoder does not support get no score."""

    libraries = ("transformers", "huggingface_hub")
    checkpoint: Name
    """Directory, hub name or `pkg://PACKAGE` of the encoder."""
    revision: Name | None
    """Commit of the hub repository; null: the newest."""
    languages: list[Language] | None
    """Languages that the encoder was trained on; rows in others get no score. null: those in its model card."""
    batch_size: Annotated[int, Ge(1), Le(65_536)]
    """Texts per batch; affects only speed and memory."""
    device: Literal["auto", "cpu", "gpu", "tpu"]
    """Where the encoder runs: the GPU for gpu, and for auto if available; otherwise the CPU."""

    @abstractmethod
    def load(self) -> Encoder:
        """Return the encoder, loaded once.

        Raises:
            UserError: the encoder cannot be loaded or does not suit the metric.
        """

    def prepare(self, languages: Sequence[str], progress: ShowProgress) -> Iterable[str]:
        """Load the encoder; report the languages that it does not support."""
        from bisum.evaluation.metrics.encoders import folder_of

        folder_of(self.checkpoint, self.revision, progress)
        self.load()
        if unknown := self.unknown(languages):
            yield (
                f"'{self.checkpoint}' was not trained on {', '.join(unknown)}; rows in these languages get no "
                f"{next(iter(self.scores))} score"
            )
        if not self._known:
            yield (
                f"the languages of '{self.checkpoint}' are unknown; set languages=[...], since scores in languages it "
                "was not trained on are meaningless"
            )

    def unknown(self, languages: Iterable[str]) -> list[str]:
        """Return the languages that the encoder does not support."""
        known = self._known
        if not known or _ANY_LANGUAGE & {*known}:
            return []
        codes = {tools_for(code).language for code in known}
        return [language for language in dict.fromkeys(languages) if tools_for(language).language not in codes]

    @property
    def _known(self) -> Sequence[str]:
        """The encoder's languages, from the configuration or its card; empty if neither states them."""
        from bisum.evaluation.metrics.encoders import card_languages

        return card_languages(self.checkpoint, self.revision) if self.languages is None else self.languages

    def load_as(self, auto_model: Any, **changes: Any) -> Encoder:
        """Return the encoder, loaded by a transformers auto class; `changes` override entries of its config.json."""
        from bisum.evaluation.metrics.encoders import load_encoder, torch_device

        return load_encoder(auto_model, self.checkpoint, self.revision, torch_device(self.device), **changes)
