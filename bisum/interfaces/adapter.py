"""The interface of an adapter, which chooses the weights that training changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bisum.interfaces.family import Family

Quantization = Literal["4bit"]
"""Storage of frozen weights other than float32; 4bit: NF4 with double quantization."""


@dataclass(frozen=True, kw_only=True)
class Adapter(ABC):
    """The choice of the weights that training changes: all of them, a part, or small ones added to a frozen model."""

    needs_checkpoint: ClassVar[bool] = True
    """Whether the adapter is useful only on trained weights, not on random ones."""

    @abstractmethod
    def attach(self, model: PreTrainedModel, family: Family) -> None:
        """Freeze weights of the loaded model, or add LoRA layers with its own `add_adapter`.

        It is called before the model is moved to its device. torch's random generator is seeded. If LoRA layers are
        added, a checkpoint contains only them; otherwise it contains all weights. The layers can be on the meta device,
        without values.

        Raises:
            UserError: the model does not have the layers to adapt; the message begins with the key.
        """

    @property
    def quantization(self) -> Quantization | None:
        """Storage of the frozen weights; None: float32."""
        return None

    @property
    def merges(self) -> bool:
        """Whether to write the best checkpoint as a whole model, too, after training."""
        return False
