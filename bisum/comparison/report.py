"""HTML report of a comparison: a single file with its data, style and scripts, which loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from bisum.printing import as_json, finite

_SCRIPTS = (
    "vendor/d3.min.js", "vendor/plot.umd.min.js", "elements.js", "tables.js", "systems.js", "charts.js",
    "score_charts.js", "parallel.js", "importance.js", "rows.js", "page.js",
)  # fmt: skip
"""Scripts in the order of execution."""
# Characters that can end a script element or start a comment in it, and lone surrogates, which UTF-8 cannot encode.
_UNSAFE = re.compile("[<>&\ud800-\udfff]")


def html_report(data: Mapping[str, Any]) -> str:
    """Return the report page of a comparison, to be written as UTF-8.

    Texts in `data` are escaped. Non-finite numbers are shown as missing.
    """
    scripts = [_asset(name) for name in _SCRIPTS]
    page = _environment().from_string(_asset("page.html.j2"))
    html = page.render(
        data=data,
        policy=_policy(scripts),
        style=Markup(_asset("page.css")),  # only the template and the package's own files are markup
        scripts=[Markup(script) for script in scripts],
        embedded=Markup(_embedded(data)),
    )
    return html.encode(errors="replace").decode()  # lone surrogates in the heading


def _embedded(data: Mapping[str, Any]) -> str:
    """Return the data as JSON without characters that are special in HTML."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", as_json(finite(data)))


def _policy(scripts: list[str]) -> str:
    """Return a content security policy that blocks all loading and allows only these scripts.

    Plot adds style elements at run time, so styles cannot be allowed by hash.
    """
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(f"'sha256-{value}'" for value in hashes),
            "style-src 'unsafe-inline'",
            "img-src data:",  # the empty icon, which keeps browsers from requesting one
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)


@cache
def _asset(name: str) -> str:
    return resources.files("bisum.comparison").joinpath("report_assets", *name.split("/")).read_text(encoding="utf-8")
