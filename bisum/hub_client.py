"""The client of the Hugging Face hub: how long it waits for an answer, and its errors in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from bisum.errors import one_line, printable, reason, without_secrets

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_LOGIN_COMMAND = "hf auth login"
LOGIN = f"log in ({_LOGIN_COMMAND})"
_TEMPORARY = (408, 409, 412, 423, 425, 429)
"""Status codes below 500 of requests that can succeed later."""


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Limit how long the client waits for an answer of the hub, or for the next part of one, during the block.

    Some requests of the client have no timeout. It repeats some failed requests, so it gives up after about six times
    this limit.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    def limit(request: Any) -> None:
        given = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {phase: min(given[phase] or seconds, seconds) for phase in given}

    make = _http._GLOBAL_CLIENT_FACTORY  # no public function returns it

    def limited() -> Any:
        session = make()
        session.event_hooks["request"].append(limit)  # a session's own timeout does not apply to all requests
        return session

    set_client_factory(limited)  # the client makes a new session after some errors
    try:
        yield
    finally:
        set_client_factory(make)


def hub_problem(
    error: BaseException,
    name: str,
    kind: Literal["model", "data set"],
    key: str,
    *,
    local: Literal["directory", "folder"] | None = None,
    revision: str | None = None,
    instead: str = "try again later",
) -> str:
    """Return what went wrong with a repository of the hub, and what to do, in one line without secrets.

    Args:
        error: any error that the client raised.
        name: the repository.
        kind: what the repository contains.
        key: the configuration key that names the repository; `revision` is a key of the same node.
        local: what the key may name on the local disk instead.
        revision: the requested revision.
        instead: what to do while the hub cannot be used.
    """
    from huggingface_hub import constants, errors

    error, name = _cause(error), printable(name)
    if isinstance(error, errors.GatedRepoError):
        page = f"{_endpoint()}/{'datasets/' if kind == 'data set' else ''}{name}"
        problem = f"'{name}' is gated; accept its terms on {page} and {LOGIN}"
    elif isinstance(error, errors.RevisionNotFoundError):
        key = ".".join([*key.split(".")[:-1], "revision"])
        problem = f"'{name}' has no revision '{revision}'"
    elif isinstance(error, errors.HFValidationError):
        valid = "a valid hub name (NAME or OWNER/NAME)"
        problem = f"'{name}' is neither a local {local} nor {valid}" if local else f"'{name}' is not {valid}"
    elif isinstance(error, errors.RepositoryNotFoundError):
        places = f"local {local} or hub {kind}" if local else f"hub {kind}"
        problem = f"no {places} is named '{name}'; a private one needs a login ({_LOGIN_COMMAND})"
    elif isinstance(error, errors.HfHubHTTPError):
        problem = _refusal(error, name, instead)
    elif constants.is_offline_mode() and isinstance(
        error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError
    ):
        missing = f"'{name}' is neither a {local} nor in the cache; unset HF_HUB_OFFLINE to download it"
        problem = missing if local else f"HF_HUB_OFFLINE is set; unset it to reach '{name}'"
    elif isinstance(error, errors.LocalTokenNotFoundError):
        problem = f"the hub requires a login for '{name}'; {LOGIN}"
    elif _is(error, "UnicodeEncodeError", "LocalProtocolError"):  # the message would show the token
        problem = f"the access token contains invalid characters; {_new_token()}"
    elif _is(error, "TimeoutException"):
        problem = f"the hub at {_endpoint()} did not respond to a request for '{name}'{_limit(error)}; {instead}"
    elif _is(error, "ConnectError", "ProxyError", "UnsupportedProtocol", "InvalidURL"):
        problem = f"cannot reach the hub at {_endpoint()} for '{name}' ({hub_reason(error)}); {instead}"
    elif _is(error, "TransportError"):
        lost = f"lost the connection to the hub at {_endpoint()} during a request for '{name}'"
        problem = f"{lost} ({hub_reason(error)}); {instead}"
    elif _is_invalid_card(error):
        problem = f"the hub refuses the card of '{name}' ({hub_reason(error)})"
    else:
        what = "loaded from" if local else "written to"
        problem = f"'{name}' could not be {what} the hub ({hub_reason(error)})"
    return f"{key}: {problem}"


def _refusal(error: HfHubHTTPError, name: str, instead: str) -> str:
    """Return the problem that a status code of the hub states."""
    from huggingface_hub import get_token

    status, said = error.response.status_code, hub_reason(error)
    if status == 401 and get_token() is None:
        return f"the hub requires a login for '{name}'; {LOGIN}"
    if status == 401:
        return f"the hub rejects the access token for '{name}' ({said}); {_new_token()}"
    if status == 403:
        return f"the hub refuses access to '{name}' ({said}); use a token with the permission for it"
    if status in (409, 412):
        return f"'{name}' changed on the hub in the meantime ({said}); try again"
    if status == 429:
        return f"the hub's rate limit is exceeded for '{name}' ({said}); try again {_wait(error)}"
    if status in _TEMPORARY or status >= 500:
        return f"the hub at {_endpoint()} failed on a request for '{name}' ({said}); {instead}"
    return f"the hub refuses the request for '{name}' ({said})"


def hub_reason(error: BaseException) -> str:
    """Return the hub's or the client's message on one line of at most 200 characters, without secrets."""
    from huggingface_hub import errors, get_token

    text = reason(error)
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response
        text = f"{status.status_code} {one_line(error.server_message or status.reason_phrase)}"
    token = get_token()
    return without_secrets(text.replace(token, "...") if token else text)[:200].rstrip(".")


def is_temporary(error: BaseException) -> bool:
    """Return whether the same request can succeed later: the hub was unreachable, overloaded or busy."""
    from huggingface_hub.errors import HfHubHTTPError

    error = _cause(error)
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _TEMPORARY or error.response.status_code >= 500
    return _is(error, "TransportError") and not _is(error, "LocalProtocolError", "UnsupportedProtocol")


def _cause(error: BaseException) -> BaseException:
    """Return the error of a request that the client wraps in a vague one, such as LocalEntryNotFoundError."""
    from huggingface_hub import errors

    inner: BaseException | None = None if _is_invalid_card(error) else error
    while inner is not None:
        if isinstance(inner, errors.HfHubHTTPError | errors.OfflineModeIsEnabled) or _is(inner, "TransportError"):
            return inner
        inner = inner.__cause__
    return error


def _is_invalid_card(error: BaseException) -> bool:
    """Return whether the hub found a mistake in a card's metadata, which the client tells better than the request."""
    return type(error) is ValueError and str(error).startswith("Invalid metadata in README.md")


def _is(error: BaseException, *names: str) -> bool:
    """Return whether an error is of a named class; the client's HTTP library depends on its version."""
    return any(base.__name__ in names for base in type(error).__mro__)


def _endpoint() -> str:
    from huggingface_hub import constants

    return without_secrets(constants.ENDPOINT)


def _new_token() -> str:
    return "correct or unset HF_TOKEN" if os.environ.get("HF_TOKEN") else f"log in again ({_LOGIN_COMMAND})"


def _limit(error: Any) -> str:
    with suppress(Exception):  # not every error has the request
        return f" within {error.request.extensions['timeout']['read']:g} s"
    return ""


def _wait(error: HfHubHTTPError) -> str:
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

    headers = error.response.headers
    limits = parse_ratelimit_headers(headers)
    seconds = str(limits.reset_in_seconds) if limits else headers.get("Retry-After", "")
    return f"in {seconds} s" if seconds.isdigit() else "later"
