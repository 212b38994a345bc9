"""`Dockerfile` and `compose.yaml`, as far as they can be checked without an engine: what they name exists, and what they run runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskexport import processes, settings

ROOT = Path(processes.MANAGE).parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
PRODUCTION = {"TASKEXPORT_ENV": "production", "SECRET_KEY": "k" * 20 + "9-aZ" * 12, "ALLOWED_HOSTS": "exports.example.com"}


def found(pattern: str, text: str) -> str:
    """The one group of the pattern."""
    match = re.search(pattern, text, re.MULTILINE)
    assert match
    return match[1]


def test_every_service_of_ours_stops_in_order() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"postgres", "s3", "migrate", "web", "exports", "control"}
    for name in ("web", "exports", "control"):
        service = services[name]
        assert service["init"] is True
        assert "stop_grace_period" in service
        assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    minutes = int(found(r"^(\d+)m$", services["exports"]["stop_grace_period"]))
    assert minutes * 60 > settings.RUN_SECONDS
    for name in ("exports", "control"):
        assert services[name]["environment"]["Q_CLUSTER_NAME"] == name
        assert services[name]["environment"]["DATABASE_URL"]
    for name, service in services.items():
        assert service["logging"]["options"]["max-size"], name
        assert name in {"postgres", "s3"} or (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert services["migrate"]["restart"] == "no"
    assert set(services["migrate"]["depends_on"]) == {"postgres"}
    published = {name for name, service in services.items() if "ports" in service}
    assert published == {"web"}
    assert services["web"]["ports"][0].startswith("127.0.0.1:")
    assert {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())} == set(COMPOSE["volumes"])


def test_every_variable_is_one_that_the_settings_read() -> None:
    known = (ROOT / "taskexport" / "settings.py").read_text()
    for name in COMPOSE["services"]["web"]["environment"]:
        assert f'"{name}"' in known, name


def test_the_image_has_what_it_copies_and_runs_as_nobody_special() -> None:
    for source in re.findall(r"^COPY ([\w./]+) ", DOCKERFILE, re.MULTILINE):
        assert (ROOT / source).exists(), source
        assert f"!{source}\n" in (ROOT / ".dockerignore").read_text()
    user, group = found(r"^USER (\d+:\d+)$", DOCKERFILE).split(":")
    assert f"--uid {user} " in DOCKERFILE
    assert f"groupadd --system --gid {group} " in DOCKERFILE
    assert f"uid={user},gid={group}" in COMPOSE["services"]["migrate"]["tmpfs"][1]
    assert "slim" in DOCKERFILE


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_the_image_s_commands_run(process_env: dict[str, str], tmp_path: Path) -> None:
    env = {**os.environ, **PRODUCTION, **process_env, "VAR": str(tmp_path / "var"), "STATIC_ROOT": str(tmp_path / "static")}
    static = subprocess.run([sys.executable, processes.MANAGE, "collectstatic", "--noinput", "-v", "0"], env=env, capture_output=True, text=True)
    assert (static.returncode, static.stderr) == (0, "")
    command = json.loads(found(r"^CMD (\[.*\])$", DOCKERFILE))
    port = processes.free_port()
    command = [sys.executable, "-m", *(f"127.0.0.1:{port}" if part == "0.0.0.0:8000" else part for part in command)]
    check = json.loads(found(r"HEALTHCHECK .*? CMD (\[.*\])$", DOCKERFILE))
    check = [sys.executable, *(part.replace(":8000/", f":{port}/") for part in check[1:])]
    web = processes.start(command, env, tmp_path / "web.log")
    try:
        deadline = time.monotonic() + 60
        while (healthy := subprocess.run(check, capture_output=True)).returncode and time.monotonic() < deadline:
            assert web.poll() is None, (tmp_path / "web.log").read_text()
            time.sleep(0.2)
        assert healthy.returncode == 0, healthy.stderr
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10)
        assert json.load(refused.value)["checks"]["database"] == {"ok": True}
    finally:
        processes.stop(web)
    assert web.returncode == 0
    lines = (tmp_path / "web.log").read_text().splitlines()
    ended = [json.loads(line) for line in lines if "Worker exiting" in line]  # of the server itself, and in our form
    assert {line["logger"] for line in ended} == {"gunicorn.error"}
