"""A local stand-in for a remote host."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """A server on a free port, in threads that end with the process; it ignores clients that disconnect."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self._start()

    def handle_error(self, *arguments):
        pass

    def get_request(self):
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def stop(self) -> None:
        """Refuse connections, and drop the open ones."""
        self.shutdown()
        self.server_close()
        while self._connections:
            with suppress(OSError):  # closed already
                self._connections.pop().shutdown(socket.SHUT_RDWR)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Be unreachable during the block."""
        self.stop()
        try:
            yield
        finally:
            self.socket = socket.socket(self.address_family, self.socket_type)
            self.server_bind()
            self.server_activate()
            self._start()

    def _start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
