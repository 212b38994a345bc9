"""A small SMTP server that keeps what it is sent, and may refuse."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


class _Session(socketserver.StreamRequestHandler):
    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        server: Any = self.server
        self.say("220 here")
        while line := self.rfile.readline():
            verb = line[:4].upper().strip()
            if verb == b"DATA":
                self.say("354 go on")
                data = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    data += part.removeprefix(b".")
                if server.answer.startswith("2"):
                    server.mails.append(message_from_bytes(data, policy=policy.default))
                self.say(server.answer)
            elif verb == b"RCPT" and server.recipient:
                self.say(server.recipient)
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 yes")


class Server(socketserver.ThreadingTCPServer):
    """`mails` are those it took; `answer` is what it says to a mail, `recipient` to an address."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[EmailMessage] = []
        self.answer, self.recipient = "250 taken", ""
        self.port = int(self.server_address[1])


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """The server, on a free port of this machine."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
