"""Scores of long documents with and without windows, on documents of several package descriptions each.

    python tests/benchmarks/long_documents.py [ROWS]

A document consists of ROWS (default 8) documents of the sample's validation and test splits, and its reference of their
summaries. The starter summarizes the documents cut, in windows, and in windows whose summaries are only joined.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bisum.corpus.sample import Sample

JOBS = [["truncate"], ["chunk"], ["chunk", "model.chunk_summaries=join"]]


def write_documents(path: Path, count: int) -> None:
    """Write the documents as JSON lines."""
    splits = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])
    rows = [row for split in ("validation", "test") for row in splits[split].to_pylist()]
    lines = []
    for language in ("en", "es"):
        own = [row for row in rows if row["language"] == language]
        for start in range(0, len(own) - count + 1, count):
            some = own[start : start + count]
            document = "\n\n".join(row["document"] for row in some)
            summary = " ".join(f"{row['summary'].rstrip('.')}." for row in some)
            lines.append(json.dumps({"document": document, "summary": summary, "language": language}))
    path.write_text("\n".join(lines), "utf-8")


def main(count: int) -> None:
    """Print the comparison of the three evaluations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.jsonl"
        write_documents(path, count)
        jobs = json.dumps([[f"model.long_documents={name}", *others] for name, *others in JOBS])
        corpus = ["corpus=files", f"corpus.test={path}", "filter=[]", "metric=[length]", "tracker=none"]
        command = [sys.executable, "-m", "bisum", "evaluate", "-m", *corpus, f"sweep.jobs={jobs}"]
        subprocess.run([*command, f"hydra.sweep.dir={folder}/runs"], check=True)
        for run in sorted(Path(folder, "runs").glob("*/run.json")):
            record = json.loads(run.read_text("utf-8"))
            print(record.get("split"), record["cut"], record["seconds"]["evaluation"], "seconds")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
