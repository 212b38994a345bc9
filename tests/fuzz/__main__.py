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
    parser.add_argument("--every", type=int, default=1)
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

        os.environ |= rows.make(folder) | {"SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"), "FUZZ_COVERAGE_EVERY": str(arguments.every)}
        port = processes.free_port()
        with processes.service(port, {}, folder / "log", clusters=()) as service:
            command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml"), "run"]
            command += [str(processes.ROOT / "docs" / "openapi.yaml"), "--url", service.url, "--seed", str(arguments.seed), *more]
            done = subprocess.run(command, cwd=folder, check=False)
        report = json.loads((folder / "report.json").read_text()) if (folder / "report.json").exists() else {}
    calls = report.get("test_cases", {}).get("generated", 0)
    if os.environ.get("FUZZ_RATES"):
        for op, v in report["valid_rates"].items():
            print(op, {k: (x["accepted"], x["unreachable"], x["conflicts"], x["rejected"]) for k, x in v.items()})
    if done.returncode == 0 and calls < arguments.cases:
        print(f"Only {calls} calls were made, not {arguments.cases}.")
        return 1
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
