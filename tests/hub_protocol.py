"""Requests to the stand-in for the hub, and its answers."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

API = r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+(?:/[^/]+)?)"
PAGE = r"/(?P<kind>datasets/)?(?P<name>[^/]+(?:/[^/]+)?)"
ROUTES = {
    "whoami": "GET /api/whoami-v2",
    "validate": "POST /api/validate-yaml",
    "create": "POST /api/repos/create",
    "auth_check": f"GET {API}/auth-check(?P<write>/write)?",
    "tree": f"GET {API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?",
    "paths_info": f"POST {API}/paths-info/(?P<revision>[^/]+)",
    "history": f"GET {API}/commits/(?P<revision>[^/]+)",
    "refs": f"GET {API}/refs",
    "preupload": f"POST {API}/preupload/(?P<revision>[^/]+)",
    "commit": f"POST {API}/commit/(?P<revision>[^/]+)",
    "tag": f"(?:POST|DELETE) {API}/tag/(?P<revision>[^/]+)",
    "branch": f"(?:POST|DELETE) {API}/branch/(?P<branch>[^/]+)",
    "info": f"GET {API}(?:/revision/(?P<revision>[^/]+))?",
    "lfs": rf"POST {PAGE}\.git/info/lfs/objects/batch",
    "verify": rf"POST {PAGE}\.git/info/lfs/verify",
    "resolve": f"(?:GET|HEAD) {PAGE}/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
    "upload": "PUT /storage/(?P<oid>[0-9a-f]{64})",
    "download": "(?:GET|HEAD) /storage/(?P<oid>[0-9a-f]{64})",
}
"""Pattern of the requests to each endpoint."""


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def route(self) -> tuple[str, dict[str, str | None]]:
        """Return the endpoint ("" if unknown) and the parts of the path."""
        for endpoint, pattern in ROUTES.items():
            if match := re.fullmatch(pattern, f"{self.method} {self.path}"):
                return endpoint, {name: part and unquote(part) for name, part in match.groupdict().items()}
        return "", {}

    @property
    def plain(self) -> bytes:
        """All that was sent, with the files in it decoded."""
        head = "\n".join([self.target, *(f"{name}: {value}" for name, value in self.headers.items())])
        files = re.findall(rb'"(?:content|sample)": ?"([A-Za-z0-9+/=]+)"', self.body)
        return b"\n".join([head.encode(), self.body, *map(base64.b64decode, files)])


@dataclass(frozen=True)
class Answer:
    status: int = 200
    content: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        named = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.answer = Answer(status, {"error": message}, named | headers)
