"""A local stand-in for the Hugging Face hub, for the real `huggingface_hub` client.

It speaks the parts of the hub's API (https://huggingface.co/docs/hub/api) that downloads and uploads need, for models
and data sets, over plain HTTP. It does not speak Xet: a client needs `HF_HUB_DISABLE_XET=1`, and `HF_ENDPOINT` or
`HfApi(endpoint=hub.address)`. The fixture `hub_environment` has all variables for a separate process, `hub_client` is a
client in this one.

    with StandInHub(tokens={"hf_secret": "me"}) as hub:
        hub.put("me/model", {"config.json": b"{}"}, gated=True)  # "datasets/me/name" for a data set
        with hub.failing(503, on="commit", times=2):
            ...
        assert hub.repositories["me/model"].files == {...}
        assert not hub.places_of("hf_secret")

A large file is uploaded to, and downloaded from, a second host (`hub.storage`), which must not see the token.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from hub_answers import Answers
from hub_protocol import ROUTES, Answer, Request
from hub_repository import Repository, is_large, sha256
from stand_in_host import Server

REASONS = {
    401: "Invalid credentials in Authorization header",
    403: "You don't have the required permissions to perform this action",
    412: "A commit has happened since. Please refresh and try again.",
}
"""The hub's reasons, where they differ from the names of HTTP's status codes."""
Respond = Callable[[], Answer]


@dataclass
class Fault:
    """What goes wrong with the requests to an endpoint (None: any), but for the first `after`, for the next `times`."""

    on: str | None
    after: int
    times: int | None
    answer: Callable[[Respond], Answer | None]

    def applies(self, endpoint: str) -> bool:
        if self.on not in (None, endpoint) or self.times == 0:
            return False
        self.after -= 1
        if self.after >= 0:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


class StandInHub(Answers):
    """A hub with in-memory repositories; tokens map to user names, and a user may write below that name only.

    `on=` of the faults names an endpoint of `ROUTES`: whoami, create, info, tree, resolve, download (of a large file),
    preupload, lfs (the batch request), upload (of a large file), verify, commit, tag and so on.
    """

    def __init__(self, tokens: Mapping[str, str] | None = None) -> None:
        super().__init__(tokens or {})
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._requests: list[tuple[str, Request]] = []
        self.host, self.storage_host = (Server(type("Handler", (_Handler,), {"hub": self})) for _ in range(2))
        self.address, self.storage = self.host.address, self.storage_host.address

    def __enter__(self) -> "StandInHub":
        return self

    def __exit__(self, *arguments: object) -> None:
        self.host.stop()
        self.storage_host.stop()

    def put(self, name: str, files: Mapping[str, bytes], *, private: bool = False, gated: bool = False) -> Repository:
        """Add a commit with these files only, to a new repository or an earlier one."""
        repository = self.repositories.setdefault(name, Repository())
        repository.private, repository.gated = private, gated
        self.objects |= {
            sha256(content): content for path, content in files.items() if is_large(path, len(content), content)
        }
        repository.commit("put", dict(files))
        return repository

    @property
    def received(self) -> list[tuple[str, str]]:
        """Method and path of each request, in order; those of large files have the path /storage/SHA256."""
        return [(request.method, request.path) for _, request in self._requests]

    def places_of(self, secret: str) -> list[str]:
        """Return the requests that contain a text, other than as the `Authorization` sent to the hub."""
        allowed = f"\nauthorization: Bearer {secret}\n".encode()
        places = []
        for host, request in self._requests:
            sent = request.plain.replace(allowed, b"\n") if host == self.address else request.plain
            if secret.encode() in sent:
                places.append(f"{request.method} {request.path}")
        return places

    @contextmanager
    def failing(
        self,
        status: int,
        *,
        on: str | None = None,
        after: int = 0,
        times: int | None = None,
        code: str = "",
        message: str = "",
        wait: int = 0,
    ) -> Iterator[None]:
        """Answer with an error; `wait` are the seconds to wait in the headers of 429."""
        message = message or REASONS.get(status, HTTPStatus(status).phrase)
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        if status == 429:
            limits = {"RateLimit": f'"api";r=0;t={wait}', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
            headers |= {"Retry-After": str(wait), **limits}
        with self._fault(on, after, times, lambda respond: Answer(status, {"error": message}, headers)):
            yield

    @contextmanager
    def hanging(
        self, *, on: str | None = None, after: int = 0, times: int | None = None, sent: int = -1
    ) -> Iterator[None]:
        """Never answer, or stop after `sent` bytes of the body, until the end of the block."""
        end = threading.Event()

        def wait(respond: Respond) -> Answer | None:
            if sent >= 0:
                return Cut(**vars(respond()), sent=sent, wait=end.wait)
            end.wait()
            return None

        with self._fault(on, after, times, wait):
            try:
                yield
            finally:
                end.set()

    @contextmanager
    def cutting(self, sent: int, *, on: str | None = None, after: int = 0, times: int | None = None) -> Iterator[None]:
        """Do what is requested, but close the connection after `sent` bytes of the answer's body."""
        with self._fault(on, after, times, lambda respond: Cut(**vars(respond()), sent=sent)):
            yield

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections."""
        with ExitStack() as stack:
            stack.enter_context(self.host.down())
            stack.enter_context(self.storage_host.down())
            yield

    @contextmanager
    def _fault(self, on, after, times, answer) -> Iterator[None]:
        assert on is None or on in ROUTES, on
        fault = Fault(on, after, times, answer)
        self._faults.insert(0, fault)
        try:
            yield
        finally:
            self._faults.remove(fault)

    def _respond(self, host: str, request: Request) -> Answer | None:
        def respond() -> Answer:
            with self._lock:
                return self.answer(request)

        with self._lock:
            self._requests.append((host, request))
            endpoint, _ = request.route()
            fault = next((fault for fault in self._faults if fault.applies(endpoint)), None)
        return fault.answer(respond) if fault else respond()


@dataclass(frozen=True)
class Cut(Answer):
    """An answer whose connection is closed after some bytes of its body, and a wait."""

    sent: int = 0
    wait: Callable[[], object] = lambda: None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandInHub

    def log_message(self, *arguments):
        pass

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, self.headers, body)
        answer = self.hub._respond(self.server.address, request)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        is_json = not isinstance(answer.content, bytes)
        kind = {"Content-Type": "application/json" if is_json else "application/octet-stream"}
        for name, value in {"Content-Length": str(len(answer.body)), **kind, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        content = b"" if self.command == "HEAD" else answer.body
        if isinstance(answer, Cut):
            self.wfile.write(content[: answer.sent])
            self.wfile.flush()
            answer.wait()
            self.close_connection = True
        else:
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815 - the names of http.server
