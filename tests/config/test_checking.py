"""Values against annotations: valid and invalid values, and the messages about them."""

from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MinLen

from bisum.config.checking import build
from bisum.config.targets import ALLOW_VARIABLE, is_allowed
from bisum.errors import UserError
from bisum.interfaces.filter import Filter
from bisum.interfaces.source import Source
from bisum.interfaces.trainer import Trainer


def node(annotation: Any) -> type:
    return make_dataclass("Node", [("key", annotation)], kw_only=True)


@dataclass(kw_only=True)
class Inner:
    size: Annotated[int, Ge(1)]
    share: Annotated[float, Ge(0), Lt(1)]
    mode: Literal["fast", "slow"]


@dataclass(kw_only=True)
class Outer:
    inner: Inner
    names: list[str]
    parts: dict[str, Inner]
    rest: list[Inner]
    spare: Inner | None


GOOD_INNER = {"size": 1, "share": 0.5, "mode": "fast"}
GOOD_OUTER = {"inner": GOOD_INNER, "names": [], "parts": {}, "rest": [], "spare": None}


def problems(cls: type, values: dict[str, Any]) -> list[str]:
    with pytest.raises(UserError) as raised:
        build(cls, values)
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, 1e-3, 1e-3),
        (str, "", ""),
        (bool, False, False),
        (int | None, None, None),
        (int | str, "a", "a"),
        (Literal["a", 1], 1, 1),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (list[list[int]], [[1], []], [[1], []]),
        (int | list[int], [1], [1]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[str, Any], {"a": None, "b": [1, "x"]}, {"a": None, "b": [1, "x"]}),
        (list, [1, "x"], [1, "x"]),
        (Any, {"a": 1}, {"a": 1}),
        (Annotated[int, Ge(1)], 1, 1),
        (Annotated[float, Gt(0), Le(1)], 1, 1.0),
        (Annotated[int, Ge(1)] | None, None, None),
        (Annotated[list[str], MinLen(1)], ["a"], ["a"]),
        (Annotated[int, Interval(ge=1, lt=3)], 2, 2),
    ],
)
def test_valid_value_is_kept_and_int_becomes_float(annotation, value, expected):
    built = build(node(annotation), {"key": value}).key
    assert built == expected
    assert type(built) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, True, "expected a whole number, not true"),
        (int, 1.0, "expected a whole number, not 1.0"),
        (int, "1", "expected a whole number, not '1'"),
        (int, None, "expected a whole number, not null"),
        (int, [1], "expected a whole number, not [1]"),
        (float, True, "expected a number, not true"),
        (float, "1e-3", "expected a number, not '1e-3'"),
        (float, float("nan"), "expected a finite number, not nan"),
        (float, float("-inf"), "expected a finite number, not -inf"),
        (str, 1, 'expected text, not 1; quote it in the YAML file: "..."'),
        (str, False, 'expected text, not false; quote it in the YAML file: "..."'),
        (
            list[str] | str,
            float("inf"),
            'expected a list of text such as [a,b] or text, not inf; quote it in the YAML file: "..."',
        ),
        (dict[str, int], {False: 1}, 'expected text as a key, not false; quote it in the YAML file: "..."'),
        (dict[str, int], {10: 1}, 'expected text as a key, not 10; quote it in the YAML file: "..."'),
        (bool, 1, "expected true or false, not 1"),
        (bool, "yes", "expected true or false, not 'yes'"),
        (int | None, "x", "expected a whole number or null, not 'x'"),
        (int | str, None, "expected a whole number or text, not null"),
        (Literal["adamw", "adafactor"], "sgd", "expected one of adamw, adafactor, not 'sgd'"),
        (Literal["a", 1], True, "expected one of a, 1, not true"),
        (list[str], "a", "expected a list of text such as [a,b], not 'a'"),
        (dict[str, int], [1], "expected a mapping of names to values, not [1]"),
        (Annotated[int, Ge(1)], 0, "expected a whole number >= 1, not 0"),
        (Annotated[int, Ge(1)] | None, 0, "expected a whole number >= 1 or null, not 0"),
        (Annotated[float, Gt(0)], 0, "expected a number > 0, not 0"),
        (Annotated[float, Ge(0), Lt(1)], 1, "expected a number >= 0 and < 1, not 1"),
        (Annotated[float, Le(1)], 1.5, "expected a number <= 1, not 1.5"),
        (Annotated[int, Interval(ge=1, lt=3)], 3, "expected a whole number >= 1 and < 3, not 3"),
        (Annotated[int, Ge(1)], "x", "expected a whole number >= 1, not 'x'"),
    ],
)
def test_invalid_value_is_reported_with_the_expected_type(annotation, value, message):
    assert problems(node(annotation), {"key": value}) == [f"key: {message}"]


@pytest.mark.parametrize(
    ("annotation", "value", "parts"),
    [
        (list[int], [1, "x"], ("a whole number", "'x'", "[1]")),
        (Annotated[list[str], MinLen(1)], ["a", 1], ("text", "[1]")),
        (Annotated[list[str], MinLen(1)], [], ("a list", "at least 1")),
        (dict[str, int], {"a": "x"}, ("key.a", "a whole number", "'x'")),
        (Annotated[list[str], Len(1, 2)], ["a", "b", "c"], ("2",)),
    ],
)
def test_invalid_item_of_a_list_or_mapping_is_reported_with_its_position(annotation, value, parts):
    (line,) = problems(node(annotation), {"key": value})
    assert all(part in line for part in parts), line


def test_unknown_and_missing_keys_are_reported():
    lines = problems(Inner, {"sise": 1, "share": "???", "mode": "fast"})
    assert lines == [
        "sise: no such key, did you mean 'size'? (valid: size, share, mode)",
        "share: needs a value, for example share=...",
        "size: is missing",
    ]


def test_every_problem_is_reported_with_its_full_key():
    wrong = {
        "inner": {**GOOD_INNER, "size": 0},
        "names": [],
        "parts": {"a": {**GOOD_INNER, "mode": "fats"}},
        "rest": [GOOD_INNER, {**GOOD_INNER, "share": 1}],
        "spare": {**GOOD_INNER, "sice": 1},
        "innr": 1,
    }
    lines = problems(Outer, wrong)
    assert [line.partition(": ")[0] for line in lines] == [
        "inner.size",
        "parts.a.mode",
        "rest[1].share",
        "spare.sice",
        "innr",
    ]


def test_nested_nodes_are_built():
    built = build(Outer, {**GOOD_OUTER, "parts": {"a": GOOD_INNER}, "rest": [GOOD_INNER], "spare": GOOD_INNER})
    inner = Inner(size=1, share=0.5, mode="fast")
    assert built == Outer(inner=inner, names=[], parts={"a": inner}, rest=[inner], spare=inner)


@pytest.mark.parametrize("value", [None, 3, "fast", [GOOD_INNER]])
def test_node_that_is_not_a_mapping_is_reported_with_its_keys(value):
    assert problems(Outer, {**GOOD_OUTER, "inner": value})[0].startswith(
        "inner: expected a mapping of size, share, mode, not "
    )


@pytest.mark.parametrize(
    ("target", "packages", "allowed"),
    [
        ("mine.Filter", ["mine"], True),
        ("mine.sub.Filter", ["mine"], True),
        ("mine.sub.Filter", ["mine.sub"], True),
        ("mine.Filter", ["mine.sub"], False),
        ("minefield.Filter", ["mine"], False),
        ("mine", ["mi"], False),
        ("mine.Filter", [], False),
        ("mine.Filter", [""], False),
    ],
)
def test_allowed_targets_match_whole_packages(target, packages, allowed):
    assert is_allowed(target, packages) is allowed


OWN_CLASSES = """
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bisum.interfaces.trainer import Trainer

if TYPE_CHECKING:
    from torch import Tensor

class Keeps:
    def keep(self, rows, held_out):
        return None

@dataclass
class Fits(Keeps):
    least: int
    words: list[str] | None = None

class Plain(Keeps):
    def __init__(self, least: int, share: float = 0.5, extra=None):
        self.least = least

class Open(Keeps):
    def __init__(self, **options: int):
        self.options = options

class Odd(Keeps):
    def __init__(self, least: int):
        raise ValueError("least must be\\neven")

@dataclass
class Unresolvable(Keeps):
    least: Tensor

class KeepsNothing:
    pass

def function(least):
    return Keeps()

class Rows:
    def __init__(self, max_train_rows: int | None, max_eval_rows: int | None):
        self.max_train_rows, self.max_eval_rows, self.language_temperature = max_train_rows, max_eval_rows, 1
    def load(self, languages):
        return {}

@dataclass(frozen=True, kw_only=True)
class Unfit(Trainer):
    pass
"""


@pytest.fixture(scope="module")
def own_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "checking_own.py").write_text(OWN_CLASSES, encoding="utf-8")
    (folder / "checking_needs.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    (folder / "checking_raises.py").write_text("raise RuntimeError('two\\nlines')\n", encoding="utf-8")
    (folder / "checking_exits.py").write_text("raise SystemExit('bye')\n", encoding="utf-8")
    (folder / "checking_broken.py").write_text("def broken(:\n", encoding="utf-8")
    return folder


@pytest.fixture
def own(own_module, monkeypatch):
    """Function that builds a node of a user's class for an interface."""
    names = "checking_own,checking_needs,checking_raises,checking_exits,checking_broken,checking_missing"
    monkeypatch.setenv(ALLOW_VARIABLE, names)
    monkeypatch.syspath_prepend(own_module)

    def built(interface: type, target: str, **values: Any) -> Any:
        return build(node(interface), {"key": {"_target_": f"checking_{target}", **values}}).key

    return built


def test_users_class_is_built_with_its_defaults(own):
    assert own(Filter, "own.Fits", least=3).words is None
    assert own(Filter, "own.Plain", least=3, extra={"any": 1}).least == 3
    assert own(Filter, "own.Open", most=1).options == {"most": 1}
    assert type(own(Filter, "own.Keeps")).__name__ == "Keeps"


def test_attributes_set_in_init_satisfy_an_interface(own):
    assert own(Source, "own.Rows", max_train_rows=5, max_eval_rows=None).max_train_rows == 5


@pytest.mark.parametrize(
    ("interface", "target", "values", "key", "message"),
    [
        (Filter, "own.Fits", {"least": "x"}, "key.least", "a whole number"),
        (Filter, "own.Fits", {"lest": 1, "least": 1}, "key.lest", "did you mean 'least'? (valid: least, words)"),
        (Filter, "own.Fits", {}, "key.least", "is missing"),
        (Filter, "own.Fits", {"least": 1, "words": "a"}, "key.words", "a list"),
        (Filter, "own.Plain", {"least": True}, "key.least", "a whole number"),
        (Filter, "own.Plain", {"least": 1, "share": "x"}, "key.share", "a number"),
        (Filter, "own.Open", {"most": "x"}, "key.most", "a whole number"),
        (Filter, "own.Keeps", {"least": 1}, "key.least", "no such key"),
        (Filter, "own.Odd", {"least": 1}, "key", "least must be even"),
        (Filter, "own.Unresolvable", {"least": 1}, "key", "Tensor"),
        (Filter, "own.Fit", {"least": 1}, "key._target_", "did you mean 'Fits'?"),
        (Filter, "own.function", {"least": 1}, "key._target_", "no class 'function' (valid: Keeps, Fits, Plain"),
        (Filter, "own.KeepsNothing", {}, "key._target_", "it has no keep"),
        (Trainer, "own.Keeps", {}, "key._target_", "does not inherit from bisum.interfaces.trainer.Trainer"),
        (Trainer, "own.Unfit", {"epochs": 1}, "key.max_steps", "is missing"),
        (Filter, "needs.A", {}, "key._target_", "needs 'nowhere_to_be_found', which is not installed"),
        (Filter, "raises.A", {}, "key._target_", "RuntimeError: two lines"),
        (Filter, "exits.A", {}, "key._target_", "bye"),
        (Filter, "broken.A", {}, "key._target_", "SyntaxError"),
        (Filter, "missing.A", {}, "key._target_", "no module 'checking_missing' on the Python path"),
    ],
)
def test_problem_with_a_users_class_is_reported_in_one_line(own, interface, target, values, key, message):
    with pytest.raises(UserError) as raised:
        own(interface, target, **values)
    first, *others = str(raised.value).splitlines()
    assert first.startswith(f"{key}: ")
    assert message in first
    assert target == "own.Unfit" or not others
