"""How often the importance of settings identifies the decisive one, in simulated studies.

    python tests/benchmarks/importance.py [STUDIES]

A study has systems with three settings, whose values are drawn uniformly. The first setting determines the score, plus
noise with 15% of its standard deviation. The table shows the percentage of `STUDIES` (default 300; standard error at
most 2.9%, two minutes) in which the first setting has the largest share; chance is 33%. Each percentage is measured
with the better tenth (Optuna's default), quarter and half of the systems.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from bisum.comparison import importance

SIZES = (6, 8, 12, 20, 50)
SHARES = (0.1, 0.25, 0.5)
NOISE = 0.15
Draw = Callable[[np.random.Generator, int], list[Any]]


def numbers(generator: np.random.Generator, size: int) -> list[Any]:
    return generator.uniform(0, 1, size).tolist()


def rates(generator: np.random.Generator, size: int) -> list[Any]:
    return np.exp(generator.uniform(np.log(1e-5), np.log(1e-2), size)).tolist()


def options(count: int) -> Draw:
    return lambda generator, size: [f"option {at}" for at in generator.integers(count, size=size)]


def option(value: str) -> float:
    return float(value.rpartition(" ")[2])


KINDS: dict[str, tuple[Draw, Draw, Callable[[Any], float]]] = {
    "rates, the higher the better": (rates, rates, np.log),
    "numbers, the middle is best": (numbers, numbers, lambda value: -((value - 0.5) ** 2)),
    "two options": (options(2), options(2), option),
    "three options": (options(3), options(3), option),
    "two options among numbers": (options(2), numbers, option),
    "a number among three options": (numbers, options(3), float),
}
"""How the first setting and the other two are drawn, and the score as a function of the first."""


def is_found(generator: np.random.Generator, kind: str, size: int) -> bool | None:
    """Return whether the first setting has the largest share in a study; None if the study has no importance."""
    first, other, score = KINDS[kind]
    columns = {"first": first(generator, size), "second": other(generator, size), "third": other(generator, size)}
    if any(len(set(column)) < 2 for column in columns.values()):
        return None
    scores = np.array([score(value) for value in columns["first"]])
    scores = scores + generator.normal(0, NOISE * scores.std(), size)
    systems = [dict(zip(columns, own, strict=True)) for own in zip(*columns.values(), strict=True)]
    found = importance.importance_of(systems, scores.tolist(), list(columns), True, [])
    return None if found is None else next(iter(found.shares)) == "first"


def main(studies: int) -> None:
    importance.FEWEST_SYSTEMS = 0
    print(f"{'better share':30}", *(f"{own:>6}" for own in SHARES), " (% of studies in which the first is found)")
    for kind in KINDS:
        for size in SIZES:
            cells = []
            for importance._BETTER_SHARE in SHARES:
                generator = np.random.default_rng(size)
                drawn = [is_found(generator, kind, size) for _ in range(studies)]
                known = [own for own in drawn if own is not None]
                cells.append(f"{100 * sum(known) / len(known):6.0f}")
            print(f"{kind if size == SIZES[0] else '':30}", *cells, f" {size} systems", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
