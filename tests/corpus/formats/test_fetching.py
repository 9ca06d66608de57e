"""A server that says nothing, or stops in the middle, gives a line."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bisum.corpus.files import Files
from bisum.errors import UserError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 1000000\r\n\r\ntext,title\na,b\n"


@contextmanager
def server(reply: bytes) -> Iterator[int]:
    """Serve a beginning and nothing after it, on a port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                kept.append(connection)
                connection.recv(65536)
                connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("reply", [b"", HEAD], ids=["silent", "stalled"])
def test_a_server_that_stops_gives_a_line(reply):
    with server(reply) as port:
        began = time.perf_counter()
        with pytest.raises(UserError) as raised:
            Files(path=f"http://127.0.0.1:{port}/rows.csv", language="en", timeout=0.5).load(["en"])
        assert time.perf_counter() - began < 20
    said = "the server sent nothing for 0.5 seconds; corpus.timeout sets how long to wait"
    assert str(raised.value) == f"corpus.path: http://127.0.0.1:{port}/rows.csv: {said}"


def test_any_other_protocol_is_waited_for_no_longer():
    with server(b"") as port, pytest.raises(UserError, match="the server sent nothing for"):
        Files(path=f"ftp://127.0.0.1:{port}/rows.csv", language="en", timeout=0.5).load(["en"])
