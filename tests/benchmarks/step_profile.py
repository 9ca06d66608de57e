"""Profile of bisum's training steps beside the floor's, on the same batches of the starter.

    PYTHONPATH=tests python tests/benchmarks/step_profile.py [ROUNDS]

The floor is that of `make bench`, with torch's dropout and batches made beforehand. The two alternate; the numbers are
medians over ROUNDS (default 3).
"""

import gzip
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import islice
from pathlib import Path

ARGUMENTS = ["debug=profile", "debug.profile_steps=20", "trainer.max_steps=24", "hardware=cpu", "log=quiet"]
STEP = "ProfilerStep"
SHOWN = 12


def floor(trace: Path) -> None:
    """Record the floor's steps on the batches of the run that `ARGUMENTS` describe."""
    from benchmarks.bench.floor import train_step
    from torch.profiler import ProfilerActivity, profile, schedule

    from bisum import compose
    from bisum.batches.collation import Collator
    from bisum.batches.sampling import TrainingLoader
    from bisum.batches.tokenization import encode
    from bisum.corpus.corpus import load_corpus
    from bisum.interfaces.progress import no_progress
    from bisum.models.loading import load
    from bisum.training.optimization import build_optimizer
    from bisum.training.profiling import WARMUP

    config = compose(ARGUMENTS)
    loaded = load(config.model, config.seed, "float32")
    corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
    split = encode(corpus, loaded, trace.parent / "cache", no_progress, ["train"])["train"]
    loader = TrainingLoader(split, Collator(loaded), config.trainer.batch_size, config.seed, config.hardware)
    batches = list(islice(loader, WARMUP + config.debug.profile_steps))
    model = loaded.model.train()
    optimizer = build_optimizer(model, config.trainer)
    stages = schedule(wait=WARMUP - 1, warmup=1, active=config.debug.profile_steps, repeat=1)
    with profile(activities=[ProfilerActivity.CPU], schedule=stages) as profiler:
        for batch in batches:
            train_step(model, optimizer, batch)
            profiler.step()
    profiler.export_chrome_trace(str(trace))


def self_times(trace: Path) -> dict[str, float]:
    """Return the milliseconds of a step by operator, without the operators that it calls."""
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    threads = defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and event.get("cat") in {"cpu_op", "user_annotation"}:
            threads[event["tid"]].append(event)
    times: dict[str, float] = defaultdict(float)
    steps = sum(event["name"].startswith(STEP) for thread in threads.values() for event in thread)
    for thread in threads.values():
        callers: list[tuple[float, str]] = []
        for event in sorted(thread, key=lambda event: (event["ts"], -event["dur"])):
            while callers and callers[-1][0] <= event["ts"]:
                callers.pop()
            if callers:
                times[callers[-1][1]] -= event["dur"]
            name = "Python, between operators" if event["name"].startswith(STEP) else event["name"]
            times[name] += event["dur"]
            callers.append((event["ts"] + event["dur"], name))
    return {name: time / 1000 / steps for name, time in times.items()}


def main(rounds: int) -> None:
    """Profile both and print the operators that take the most time."""
    found: dict[str, list[dict[str, float]]] = {"bisum": [], "floor": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            directory = Path(scratch, f"bisum{number}")
            command = [sys.executable, "-m", "bisum", *ARGUMENTS, f"hydra.run.dir={directory}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found["bisum"].append(self_times(directory / "profile/trace.json.gz"))
            trace = Path(scratch, f"floor{number}", "trace.json.gz")
            trace.parent.mkdir()
            subprocess.run([sys.executable, __file__, "floor", trace], check=True, stdout=subprocess.DEVNULL)
            found["floor"].append(self_times(trace))
    names = {name for times in found.values() for one in times for name in one}
    table = {name: [statistics.median(one.get(name, 0) for one in times) for times in found.values()] for name in names}
    order = sorted(table, key=lambda name: -max(table[name]))
    print("| ms in a step | bisum | floor |\n| --- | ---: | ---: |")
    for name in order[:SHOWN]:
        print(f"| {name} | {table[name][0]:.1f} | {table[name][1]:.1f} |")
    rest = [sum(table[name][column] for name in order[SHOWN:]) for column in range(2)]
    print(f"| {len(order) - SHOWN} others | {rest[0]:.1f} | {rest[1]:.1f} |")
    whole = [statistics.median(sum(one.values()) for one in times) for times in found.values()]
    print(f"| whole step | {whole[0]:.1f} | {whole[1]:.1f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["floor"]:
        floor(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 3)
