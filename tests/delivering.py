"""Shortcuts to deliveries for tests: a receiver of webhooks, hooks and destinations, time that passes."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exports.models import Delivery, DeliveryState, Destination, Webhook
from exports.services.deliveries import sealing, webhooks
from tasks.models import Organization, User

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of nobody


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.calls.append((self.path, dict(self.headers), body))
        if server.hangs:
            server.released.wait(server.hangs)
            self.close_connection = True
            return
        self.close_connection = True
        self.send_response(server.status)
        self.send_header("Connection", "close")
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(server.drips):
                self.wfile.write(b".")
                time.sleep(0.05)

    do_PUT = do_DELETE = do_POST

    def log_message(self, *_: Any) -> None:
        pass


class Receiver(ThreadingHTTPServer):
    """Keeps the `calls` (path, headers, body) it gets; answers `status` and `headers`, or hangs for so many seconds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.headers, self.hangs, self.drips = 200, dict[str, str](), 0.0, 0
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """The receiver, on a free port of this machine."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join(5)


def make_hook(admin: User, organization: Organization, url: str, **values: Any) -> tuple[Webhook, str]:
    """A webhook by its service, and its secret."""
    return webhooks.create(admin, organization, {"name": uuid.uuid4().hex, "url": url, **values})


def later(**which: Any) -> None:
    """What waits is due."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    waiting = Delivery.objects.filter(state=DeliveryState.PENDING, **which)
    waiting.filter(claimed_until__isnull=False).update(claimed_until=past)
    waiting.update(next_at=past)


def certificate(folder: Path, host: str = "hooks.example.com") -> Path:
    """A key and a certificate of its own, which nobody trusts unless told to, for a host."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


# -- For the tenancy matrix ----------------------------------------------------------------------------------------
def _hook(organization: Organization, text: str) -> Webhook:
    values = {"name": f"{text} {uuid.uuid4().hex}", "url": "https://127.0.0.1/hook", "events": ["job.done"], "sealed_secret": sealing.seal(SECRET)}
    return Webhook.objects.create(organization=organization, **values)


def fill(path: str, organization: Organization, text: str) -> str:
    """The path with a new webhook, destination or dead delivery in its place, all of them the organization's; nothing leads anywhere."""
    if "<str:webhook_id>" in path:
        path = path.replace("<str:webhook_id>", str(_hook(organization, text).pk))
    if "<str:destination_id>" in path:
        values = {"endpoint": "https://127.0.0.1", "bucket": "bucket", "prefix": text, "access_key_id": text, "sealed_secret": sealing.seal("x")}
        made = Destination.objects.create(organization=organization, name=f"{text} {uuid.uuid4().hex}", **values)
        path = path.replace("<str:destination_id>", str(made.pk))
    if "<str:delivery_id>" in path:
        said = {"kind": "webhook", "event": "job.done", "body": text, "error": text, "state": "dead", "message_id": f"{text} {uuid.uuid4().hex}"}
        dead = Delivery.objects.create(organization=organization, webhook=_hook(organization, text), **said)
        path = path.replace("<str:delivery_id>", str(dead.pk))
    return path


def body_for(name: str, method: str, text: str) -> dict[str, Any]:
    """A body with which the call succeeds."""
    bodies: dict[tuple[str, str], dict[str, Any]] = {
        ("webhooks", "POST"): {"name": f"{text} {uuid.uuid4().hex}", "url": f"https://example.com/{text}"},
        ("webhook", "PATCH"): {"name": f"{text} {uuid.uuid4().hex}"},
        ("destinations", "POST"): {"name": uuid.uuid4().hex, "bucket": "bucket", "access_key_id": text, "secret_access_key": text},
        ("destination", "PATCH"): {"prefix": text},
    }
    return bodies.get((name, method), {})


def kept() -> list[Any]:
    """All that webhooks, destinations and deliveries are."""
    return [list(model.objects.order_by("pk").values()) for model in (Webhook, Destination, Delivery)]
