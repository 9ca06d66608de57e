"""A server that sends nothing or stops midway is reported in one line."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from bisum.corpus.files import Files
from bisum.errors import UserError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 1000000\r\n\r\ntext,title\na,b\n"


@contextmanager
def server(reply: bytes) -> Iterator[int]:
    """Serve `reply` and nothing after it, on the port yielded."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def serve() -> None:
            with suppress(OSError):  # the client or the block has closed a socket
                while True:
                    connection, _ = listening.accept()
                    kept.append(connection)
                    connection.recv(65536)
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("reply", [b"", HEAD], ids=["silent", "stalled"])
def test_stalled_server_is_reported_in_one_line(reply):
    with server(reply) as port:
        began = time.perf_counter()
        with pytest.raises(UserError) as raised:
            Files(path=f"http://127.0.0.1:{port}/rows.csv", language="en", timeout=0.5).load(["en"])
        assert time.perf_counter() - began < 20
    problem = "the server sent nothing for 0.5 seconds; raise corpus.timeout to wait longer"
    assert str(raised.value) == f"corpus.path: http://127.0.0.1:{port}/rows.csv: {problem}"


def test_timeout_applies_to_other_protocols():
    with server(b"") as port, pytest.raises(UserError, match="the server sent nothing for"):
        Files(path=f"ftp://127.0.0.1:{port}/rows.csv", language="en", timeout=0.5).load(["en"])
