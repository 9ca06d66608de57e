"""The HTML report: a single file that loads nothing and escapes all data."""

import base64
import copy
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bisum.comparison import report
from bisum.comparison.report import html_report

ASSETS = Path(report.__file__).parent / "report_assets"
SCORE = {"description": "F1 of words", "higher_is_better": True, "range": [0, 100], "scale": 100, "unit": ""}
HOSTILE = (
    '</script><script>hacked()</script><!--<script>"\'&amp;<img src="https://x.invalid/a" onerror=hacked()>'
    "\u2028\u2029\u202e\x00\r\n]]> {{ 7 * 7 }} {% raw %} العربية עברית 汉字 \U0001f427"
)


def system(number: int, **changes: Any) -> dict[str, Any]:
    value = 34.5 - number
    interval = {"value": value, "low": value - 2, "high": value + 2}
    return {
        "number": number,
        "label": f"trainer.learning_rate={number}e-3",
        "settings": {"trainer.learning_rate": number / 1000},
        "is_baseline": False,
        "seeds": [1, 2],
        "runs": [f"outputs/lr/{number}", f"outputs/lr/{number + 10}"],
        **interval,
        "seed_values": [value - 0.1, value + 0.1],
        "is_best": number == 1,
        "verdict": "best" if number == 1 else "worse than the best",
        "metrics": {"rouge2": 12.25},
        "rows_per_second": 57.1,
        "parameters": 2_700_000,
        "languages": {language: {**interval, "rows": 2} for language in ("en", "es")},
        "curves": [{"run": f"outputs/lr/{number}", "seed": 1, "points": [[1, value - 1], [2, value]]}],
        **changes,
    }


def text(number: int) -> dict[str, Any]:
    return {
        "id": f"row-{number}",
        "language": ("en", "es")[number % 2],
        "category": None,
        "document": f"The document of row {number}. " * 40,
        "reference": f"The reference of row {number}.",
        "summaries": {"1": f"A summary of row {number}.", "2": f"Another of row {number}."},
        "scores": {"1": 40.1, "2": 12.0 + number},
    }


def comparison() -> dict[str, Any]:
    """Report data as `compare` builds it."""
    baseline = {"is_baseline": True, "label": "lead-3", "settings": {}, "curves": [], "seeds": [], "seed_values": []}
    buckets = {"wins": 2, "ties": 1, "losses": 1, "difference": 0.2, "low": -0.5, "high": 0.9, "rows": 4}
    return {
        "title": "outputs/lr",
        "made": "2025-05-01T10:00:00+00:00",
        "command": "bisum compare outputs/lr format=html",
        "version": "0.1.0",
        "split": "test",
        "by": "rougeL",
        "language": "",
        "score": SCORE,
        "keys": ["trainer.learning_rate"],
        "metrics": {"rouge2": SCORE},
        "samples": 10_000,
        "groups": [
            {
                "rows": 4,
                "languages": {"en": 2, "es": 2},
                "systems": [system(1), system(2), system(3, **baseline)],
                "pairs": [
                    {"first": 1, "second": 2, "difference": 1.0, "low": 0.2, "high": 1.8, "p": 0.01}
                    | {"p_adjusted": 0.03, "p_randomization": 0.01, "rows": 4, "verdict": "1 is better"}
                ],
                "importance": {
                    "systems": 8,
                    "shares": {"trainer.learning_rate": 0.87, "trainer": 0.13},
                    "left_out": [],
                },
                "importance_explanations": ["Importance by PED-ANOVA over 8 systems."],
                "curve_baseline": 18.3,
                "where": {"first": 1, "second": 2, "buckets": {"language": [{"name": "en", **buckets}]}},
                "texts": [text(number) for number in range(4)],
                "texts_note": "",
            }
        ],
        "others": [
            {"run": "outputs/lr/7", "status": "failed", "reason": "out of memory"},
            {"run": "outputs/lr/8", "status": "pruned", "reason": "below the median"},
        ],
        "notes": ["The runs used two versions of bisum."],
    }


def changed(value: Any, change: Any) -> Any:
    """Return plain data with every leaf changed."""
    if isinstance(value, dict):
        return {key: changed(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [changed(item, change) for item in value]
    return change(value)


def hostile() -> dict[str, Any]:
    """A comparison with hostile texts and keys."""
    data = changed(comparison(), lambda leaf: HOSTILE + leaf if isinstance(leaf, str) else leaf)
    group = data["groups"][0]
    data["metrics"][HOSTILE] = SCORE
    group["languages"][HOSTILE] = 1
    group["importance"]["shares"][HOSTILE] = 0.5
    for one in group["systems"]:
        one["settings"] = dict.fromkeys(data["keys"], HOSTILE)
        one["languages"][HOSTILE] = one["languages"]["en"]
    group["where"]["buckets"][HOSTILE] = group["where"]["buckets"]["language"]
    return data


class Page(HTMLParser):
    """The elements and texts of a page, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.comments: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open:
            self.texts[self._open[-1]][-1] += data

    def handle_comment(self, data):
        self.comments.append(data)

    @property
    def data(self) -> Any:
        kinds = [attributes.get("type") for tag, attributes in self.elements if tag == "script"]
        assert kinds[0] == "application/json"
        return json.loads(self.texts["script"][0])


@pytest.mark.parametrize("data", [comparison(), hostile()], ids=["usual", "hostile"])
def test_report_is_a_single_file_that_loads_nothing(data):
    page = Page(html_report(data))
    loading = {"src", "srcset", "href", "data", "action", "poster", "background", "xlink:href", "style"}
    found = {(tag, *item) for tag, attributes in page.elements for item in attributes.items() if item[0] in loading}
    assert found == {("link", "href", "data:,")}
    assert not re.search(r"url\(|@import", page.texts["style"][0])
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_policy_blocks_loading_and_allows_only_the_reports_scripts():
    page = Page(html_report(hostile()))
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    hashes = [hashlib.sha256(script.encode()).digest() for script in page.texts["script"][1:]]
    assert directives == {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{base64.b64encode(value).decode()}'" for value in hashes),
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_report_contains_all_systems_rows_and_unscored_runs():
    data = comparison()
    page = Page(html_report(data))
    assert page.data == data
    shown = [text for tag in ("h1", "dd", "strong", "code", "li", "td") for text in page.texts[tag]]
    for part in ("outputs/lr", "higher is better", "rougeL", "4 (en 2, es 2)", data["command"], *data["notes"]):
        assert part in [text.strip() for text in shown]
    assert shown[-3:] == ["outputs/lr/7", "failed", "out of memory"]


def test_hostile_text_stays_text():
    data = hostile()
    html = html_report(data)
    page = Page(html)
    assert page.data == data
    assert page.comments == []
    assert html.count("</script") == html.count("<script") == len(page.texts["script"])
    assert not {tag for tag, _ in page.elements} & {"img", "b", "iframe"}
    for tag in ("title", "h1", "code", "li", "td"):
        assert HOSTILE.replace("\r\n", "\n") in page.texts[tag][0].replace("\r\n", "\n")
    embedded = html.split('id="data">')[1].split("</script>")[0]
    assert not re.search("[<>&\u2028\u2029\u202e\x00]", embedded)


def test_lone_surrogates_are_encodable():
    data = comparison() | {"title": "half \ud83d", "notes": ["\udc27"]}
    html = html_report(data).encode().decode()
    assert Page(html).data["title"] == "half \ud83d"
    assert '<h1 dir="auto">half ?</h1>' in html


def test_non_finite_numbers_become_missing():
    data = comparison()
    data["groups"][0]["systems"][0] |= {"value": float("nan"), "high": float("inf")}
    first = Page(html_report(data)).data["groups"][0]["systems"][0]
    assert (first["value"], first["high"]) == (None, None)


def every_leaf_missing() -> dict[str, Any]:
    data = changed(comparison(), lambda _: None)
    return data | {"keys": comparison()["keys"]}


@pytest.mark.parametrize(
    "data",
    [every_leaf_missing(), dict.fromkeys(comparison()), comparison() | {"groups": []}],
    ids=["every leaf", "every part", "no groups"],
)
def test_missing_data_is_accepted(data):
    assert Page(html_report(data)).data == data


def test_report_without_data_is_small():
    assert len(html_report(comparison() | {"groups": []}).encode()) < 700_000  # bytes


def test_vendored_libraries_match_their_description():
    described = (ASSETS / "vendor/README.md").read_text(encoding="utf-8")
    libraries = sorted((ASSETS / "vendor").glob("*.js"))
    assert len(libraries) == 2
    for library in libraries:
        digest = hashlib.sha256(library.read_bytes()).hexdigest()
        assert re.search(rf"`{library.name}` .*`{digest}`", described)
        assert (ASSETS / "vendor" / f"{library.name.split('.')[0]}.LICENSE").is_file()


def test_every_report_script_is_used():
    scripts = {path.relative_to(ASSETS).as_posix() for path in ASSETS.rglob("*.js")}
    assert scripts == set(report._SCRIPTS)


def test_report_imports_nothing_heavy():
    code = (
        "import sys, bisum.comparison.report; print(*{'torch', 'numpy', 'pyarrow', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def many_systems() -> dict[str, Any]:
    data = comparison()
    group = data["groups"][0]
    group["systems"] = [system(number) for number in range(1, 301)]
    group["texts"] = [text(number) for number in range(1000)]
    return data


def two_groups() -> dict[str, Any]:
    data = comparison()
    data["groups"].append(copy.deepcopy(data["groups"][0]))
    return data


@pytest.fixture
def shown_by_a_browser(tmp_path):
    """Return a function that renders report data in a browser, returning the page and the console log."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("chromium is not on PATH")
    options = ["--headless", "--dump-dom", "--virtual-time-budget=5000", "--enable-logging=stderr", "--no-sandbox"]
    options += ["--disable-gpu", "--disable-quic", "--disable-sync", "--disable-background-networking"]
    options += ["--disable-component-update", "--no-first-run"]

    def shown(data: dict[str, Any]) -> tuple[str, list[str]]:
        file = tmp_path / "report.html"
        file.write_text(html_report(data), encoding="utf-8")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            command = [browser, *options, f"--user-data-dir={profile}", file.as_uri()]
            done = subprocess.run(command, capture_output=True, timeout=120, check=True)
        logged = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
        return done.stdout.decode(), logged

    return shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [comparison, hostile, every_leaf_missing, many_systems, two_groups], ids=lambda make: make.__name__
)
def test_a_browser_shows_the_report_without_errors(make, shown_by_a_browser):
    page, logged = shown_by_a_browser(make())
    assert logged == []
    assert re.search(r"<section id=\"g1-systems\">.*<tbody><tr", page, re.DOTALL)
    assert '<svg class="plot-' in page or make is every_leaf_missing
    assert len(re.findall("<script", page)) == 1 + len(report._SCRIPTS)


@pytest.mark.slow
def test_a_browser_shows_systems_pairs_and_rows(shown_by_a_browser):
    page, _ = shown_by_a_browser(comparison())
    parts = (
        "<strong>33.5</strong>",
        "31.5 to 35.5",
        "seeds 33.4, 33.6",
        "lead-3",
        "2.7M",
        "+1.0",
        "+0.2 to +1.8",
        "0.030",
    )
    for part in (*parts, "1 is better", "A summary of row 3.", "Another of row 0.", "over 8 systems", ">87%</text>"):
        assert part in page, part


@pytest.mark.slow
def test_bar_lengths_match_importance(shown_by_a_browser):
    page, _ = shown_by_a_browser(comparison())
    chart = page.partition('aria-label="Importance of each setting"')[2].partition("</svg>")[0]
    first, second = (float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', chart))
    assert first / second == pytest.approx(0.87 / 0.13, rel=0.02)
