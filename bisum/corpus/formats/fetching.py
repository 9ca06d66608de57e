"""Fetching of URLs, with a time limit for a server that sends nothing."""

from __future__ import annotations

import queue
import threading
from typing import Any

import fsspec  # type: ignore[import-untyped]

_PART = 1 << 20
"""Bytes per part of a file that is read in parts."""


def options(url: str, timeout: float) -> dict[str, Any]:
    """Return fsspec's options for a URL: the HTTP client's timeouts, if the URL or a link of its chain uses HTTP."""
    protocols = {link.partition("://")[0] for link in url.split("::")} & {"http", "https"}
    if not protocols:
        return {}
    from aiohttp import ClientTimeout

    waits = ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
    return {protocol: {"client_kwargs": {"timeout": waits}} for protocol in sorted(protocols)}


def fetch(url: str, timeout: float) -> bytes:
    """Return the contents of a URL, read in full, since not every server supports seeking.

    Raises:
        TimeoutError: the server sends nothing for `timeout` seconds.
    """
    client = options(url, timeout)
    if client and "::" not in url:  # the HTTP client has its own timeout
        system, path = fsspec.url_to_fs(url, **client)
        return bytes(system.cat_file(path))
    parts: queue.Queue[bytes | BaseException] = queue.Queue()

    def read() -> None:
        try:
            system, path = fsspec.url_to_fs(url, **client)
            with system.open(path, "rb") as file:
                while part := file.read(_PART):
                    parts.put(part)
            parts.put(b"")
        except BaseException as error:
            parts.put(error)

    threading.Thread(target=read, daemon=True).start()
    whole = bytearray()
    while True:
        try:
            part = parts.get(timeout=timeout)
        except queue.Empty as error:
            raise TimeoutError from error
        if isinstance(part, BaseException):
            raise part
        if not part:
            return bytes(whole)
        whole += part
