"""A batch of rows as a model reads it, and what plain transformers generates from it."""

import torch

from bisum import compose
from bisum.batches.collation import Collator
from bisum.corpus.corpus import load_corpus
from bisum.evaluation.generation import encode_texts, set_decoding
from bisum.models.loading import load


def sample_texts(count):
    """Documents of the sample's validation split in two languages, and their languages."""
    rows = load_corpus(compose().corpus, {}, ["en", "es"], 0).splits["validation"].slice(0, count).to_pydict()
    return rows["document"], rows["language"]


def read_batch(checkpoint, documents, languages, *overrides):
    """A loaded model, its inputs for the documents and the settings of `generate`."""
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12"]
    config = compose([f"model.checkpoint={checkpoint}", *limits, *overrides, "hardware=cpu"])
    loaded = load(config.model, 0, "float32")
    loaded.model.eval()
    split = encode_texts(loaded, documents, languages)
    inputs = Collator(loaded)([split[row] for row in range(len(split))])
    inputs.pop("labels")
    return loaded, inputs, set_decoding(loaded, config.generation)


@torch.no_grad()
def generate_plainly(loaded, inputs, config):
    """What `generate` of transformers returns, start tokens included."""
    starts, config, processors = loaded.family.decoding(inputs, config)
    encoder_inputs = {name: tensor for name, tensor in inputs.items() if name != "decoder_input_ids"}
    settings = {"generation_config": config, "logits_processor": processors}
    return loaded.model.generate(**encoder_inputs, decoder_input_ids=starts, **settings)
