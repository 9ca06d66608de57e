"""The adapters: none, which trains all weights, and LoRA."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt, MinLen, doc

from bisum.errors import UserError
from bisum.interfaces.adapter import Adapter, Quantization
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bisum.interfaces.family import Family

MAX_RANK = 4096


@dataclass(frozen=True, kw_only=True)
class NoAdapter(Adapter):
    """Full fine-tuning: training changes all weights."""

    needs_checkpoint: ClassVar[bool] = False
    """Random weights can be trained, too."""

    def attach(self, model: PreTrainedModel, family: Family) -> None:
        """Leave the model as it is."""


@dataclass(frozen=True, kw_only=True)
class Lora(Adapter):
    """LoRA (Hu et al. 2021): trains two small matrices beside each of the chosen layers, and freezes the rest."""

    rank: Annotated[int, Ge(1), Le(MAX_RANK)]
    """Inner dimension of the two matrices; a higher one trains more weights."""
    alpha: Annotated[float, Gt(0), Le(100_000)]
    """Scale of their product, which is multiplied by alpha / rank, or with rslora by alpha / sqrt(rank)."""
    dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of the matrices' inputs zeroed in training."""
    targets: Annotated[list[Name], MinLen(1), doc("write a list, such as adapter.targets=[q,v]")] | None
    """Names of the linear layers to adapt, such as q and v, without the layer's number; null: the family's default,
    the linear layers of attention and feed-forward blocks."""
    dora: bool
    """Train the magnitude of each output separately (DoRA, Liu et al. 2024); slower."""
    rslora: bool
    """Scale by alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023), which suits high ranks."""
    quantize: Quantization | None
    """Storage of the frozen weights; 4bit: NF4 with double quantization (QLoRA, Dettmers et al. 2023), on an NVIDIA
    GPU; null: float32."""
    merge: bool
    """After training, also write the best checkpoint merged into its base, as a whole model in `RUN/merged`."""

    def __post_init__(self) -> None:
        if missing := missing_peft():
            raise UserError(missing)

    @property
    def quantization(self) -> Quantization | None:
        """See `Adapter.quantization`."""
        return self.quantize

    @property
    def merges(self) -> bool:
        """See `Adapter.merges`."""
        return self.merge

    def attach(self, model: PreTrainedModel, family: Family) -> None:
        """Freeze the model and add LoRA layers."""
        from bisum.models.lora import LoraSettings, add_lora, find_targets

        add_lora(
            model,
            LoraSettings(
                rank=self.rank,
                alpha=self.alpha,
                dropout=self.dropout,
                targets=find_targets(model, self.targets, family.adapter_targets),
                dora=self.dora,
                rslora=self.rslora,
            ),
        )


def missing_peft() -> str | None:
    """Return what to do if peft is not installed; None if it is."""
    return "needs peft; install it with pip install 'bisum[lora]'" if find_spec("peft") is None else None
