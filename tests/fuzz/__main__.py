"""Starts a throw-away PostgreSQL and a web server on it, makes some rows, and lets schemathesis call every operation."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from taskexport import processes
from tests import postgres

HERE = Path(__file__).resolve().parent
SEED = 20240901


def main() -> int:
    """0 where every answer was as documented; 1 where one was not, or the calls were fewer than asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=500, help="at least as many calls (500)")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as name, postgres.running() as url:
        folder = Path(name)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "tests.fuzz.settings",
            "TASKEXPORT_ENV": "development",
            "DATABASE_URL": url,
            "VAR": str(folder / "var"),
            "THROTTLE_USER": "1000000/min",
            "THROTTLE_LOGIN": "1000000/min",
            "LOG_LEVEL": "ERROR",
        }
        from tests.fuzz import rows  # it imports models, so only now

        os.environ |= rows.make(folder)
        (folder / "schemathesis.toml").write_text((HERE / "schemathesis.toml").read_text())
        port = processes.free_port()
        with processes.service(port, {}, folder / "log", clusters=()) as service:
            command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(folder / "schemathesis.toml"), "run"]
            command += [str(processes.ROOT / "docs" / "openapi.yaml"), "--url", service.url, "--seed", str(arguments.seed), *more]
            done = subprocess.run(command, cwd=folder, check=False)
        log = (folder / "log" / "web.log").read_text()
        print(log[-2000:])
        for report in folder.glob("**/report.json"):
            print(report, report.stat().st_size)
            Path("/tmp/h-fuzz-report.json").write_text(report.read_text())
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
