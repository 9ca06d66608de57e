"""A run that could not allocate memory ends with the settings that need less."""

import pytest
import torch

from bisum import compose
from bisum.errors import Failed
from bisum.records.run import recorded

ADVICE = "lower trainer.batch_size, evaluation.batch_size or model.max_document_tokens"


def on_a_cpu():
    torch.empty(2**60, dtype=torch.uint8)


def on_a_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")


def in_python():
    bytearray(2**60)


def elsewhere():
    raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)")


@pytest.mark.parametrize(
    ("fail", "is_advised"), [(on_a_cpu, True), (on_a_gpu, True), (in_python, True), (elsewhere, False)]
)
def test_a_failed_allocation_names_settings_that_need_less_memory(fail, is_advised, tmp_path):
    with pytest.raises(Failed) as failed, recorded(tmp_path / "run", compose(["tracker=none"])):
        fail()
    assert (ADVICE in str(failed.value)) == is_advised
    assert "\n" not in str(failed.value)
