"""Loading of a checkpoint's weights, which must be complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bisum.errors import UserError

if TYPE_CHECKING:
    from transformers import (
        PretrainedConfig,
        PreTrainedModel,
    )


def load_weights(
    auto_model: Any, checkpoint: str, config: PretrainedConfig, options: dict[str, Any]
) -> PreTrainedModel:
    """Return the model that an auto class loads from a checkpoint.

    Raises:
        UserError: some weights are missing, and would stay random, or have another shape.
    """
    model: PreTrainedModel
    model, report = auto_model.from_pretrained(
        checkpoint, config=config, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    if lacking := sorted([*report["missing_keys"], *(str(key[0]) for key in report["mismatched_keys"])]):
        raise UserError(
            f"model.checkpoint: the weights of '{checkpoint}' do not match its config.json: "
            f"{len(lacking)} missing or of another shape, such as {lacking[0]}"
        )
    return model
