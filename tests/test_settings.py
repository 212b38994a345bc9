"""What the service refuses to start with, and what it says then."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from taskexport import processes

REPOSITORY = Path(processes.MANAGE).parent
PRODUCTION = {"TASKEXPORT_ENV": "production", "SECRET_KEY": "k" * 20 + "9-aZ" * 12, "ALLOWED_HOSTS": "exports.example.com"}


def manage(tmp_path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "LANG"}}
    command = [sys.executable, processes.MANAGE, *arguments]
    return subprocess.run(command, env={**clean, "VAR": str(tmp_path), **env}, capture_output=True, text=True, timeout=60)


def test_the_deployment_check_of_production_is_silent(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "System check identified no issues (0 silenced).\n"


def test_production_is_what_one_gets_without_saying(tmp_path: Path) -> None:
    done = manage(tmp_path, "check")
    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr


@pytest.mark.parametrize("key", ["", "short"])
def test_production_refuses_a_missing_or_short_key_and_says_how_to_make_one(key: str, tmp_path: Path) -> None:
    done = manage(tmp_path, "check", **{**PRODUCTION, "SECRET_KEY": key})
    assert done.returncode != 0
    assert "secrets.token_urlsafe(64)" in done.stderr
    assert "SECRET_KEY_FILE" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("ALLOWED_HOSTS", "", "ALLOWED_HOSTS=exports.example.com"),
        ("FILE_DAYS", "soon", "FILE_DAYS=30"),
        ("EXPORT_WORKERS", "0", "EXPORT_WORKERS=2"),
        ("HTTPS", "maybe", "write 1 or 0"),
        ("TASKEXPORT_ENV", "staging", "write production or development"),
        ("DATABASE_URL", "mysql://x/y", "PostgreSQL and SQLite"),
        ("DATABASE_URL", "postgres://user:se/cret@host/name", "%2F"),
        ("RECEIPT_KEY", "not base64!", "openssl rand -base64 32"),
        ("THROTTLE_LOGIN", "20", "THROTTLE_LOGIN=20/min"),
        ("THROTTLE_USER", "0/min", "THROTTLE_USER=600/min"),
        ("JWT_SIGNING_KEY", "short", "shorter than 50 characters"),
    ],
)
def test_a_wrong_variable_is_named_with_its_cure(name: str, value: str, cure: str, tmp_path: Path) -> None:
    done = manage(tmp_path, "check", **{**PRODUCTION, name: value})
    assert done.returncode != 0
    last = done.stderr[done.stderr.rindex("ImproperlyConfigured") :]
    assert name in last
    assert cure in last


def test_a_secret_may_come_from_a_file_with_a_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(PRODUCTION["SECRET_KEY"] + "\n")
    env = {key: value for key, value in PRODUCTION.items() if key != "SECRET_KEY"}
    done = manage(
        tmp_path,
        "shell",
        "-v0",
        "-c",
        "from django.conf import settings; print(repr(settings.SECRET_KEY))",
        **env,
        SECRET_KEY_FILE=str(tmp_path / "key"),
    )
    assert done.stdout.strip() == repr(PRODUCTION["SECRET_KEY"])


def test_a_development_machine_keeps_its_own_key_for_itself(tmp_path: Path) -> None:
    first = manage(tmp_path, "check", TASKEXPORT_ENV="development")
    key = (tmp_path / "secret-key").read_text()
    second = manage(tmp_path, "check", TASKEXPORT_ENV="development")
    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / "secret-key").read_text() == key
    assert len(key) > 50
    assert (tmp_path / "secret-key").stat().st_mode & 0o777 == 0o600


def test_the_readme_names_every_variable() -> None:
    source = (REPOSITORY / "taskexport" / "settings.py").read_text()
    named = set(re.findall(r'_(?:text|number|flag|choice|rate|words|nets|ports)\("([A-Z0-9_]+)"', source))
    readme = (REPOSITORY / "README.md").read_text()
    cells = re.findall(r"^\| (`[A-Z0-9_`, ]+`) \|", readme, re.MULTILINE)
    listed = set(re.findall(r"[A-Z0-9_]+", " ".join(cells)))
    assert len(named) > 50
    assert listed == named


@pytest.mark.parametrize(("url", "most"), [("", 100_000), ("dbcache://throttles", 100_000), ("locmemcache://x?max_entries=7", 7)])
def test_throttles_forget_nobody_of_the_last_minute(url: str, most: int, tmp_path: Path) -> None:
    env = PRODUCTION | ({"CACHE_URL": url} if url else {})
    done = manage(tmp_path, "shell", "-v0", "-c", "from django.core.cache import cache; print(cache._max_entries)", **env)
    assert (done.returncode, done.stdout.strip()) == (0, str(most)), done.stderr
