"""Starts a throw-away PostgreSQL with some rows and a web server on it, and lets schemathesis call every operation of docs/openapi.yaml.

No operation is left out: whatever ends the session that the calls are made in is followed by a new sign-in. No worker runs, so the
calls of an export's run are refused where no external runner has claimed it. Parameters that this does not know go to schemathesis.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from taskexport import processes
from tests import postgres

HERE = Path(__file__).resolve().parent
SEED = 20240901  # the same calls in every run, so that one that passes does not fail the next time by chance
COVERAGE_CALLS = 4700  # how many edges the document has, about
OPERATIONS = 94
SECONDS = 1800


def main() -> int:
    """0 where every answer was as documented; 1 where one was not, or the calls were fewer than asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=500, help="how many calls at least (500)")
    parser.add_argument("--seed", type=int, default=SEED, help="for other calls than those of every day")
    arguments, more = parser.parse_known_args()
    half = max(1, arguments.cases // 2)  # edges of the document and made-up calls, each about a half
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as name, postgres.running() as url:
        folder = Path(name)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "tests.fuzz.settings",
            "TASKEXPORT_ENV": "development",
            "DATABASE_URL": url,
            "VAR": str(folder / "var"),
            "THROTTLE_USER": "1000000/min",
            "THROTTLE_LOGIN": "1000000/min",
            "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
            "FUZZ_COVERAGE_EVERY": str(max(1, COVERAGE_CALLS // half)),
        }
        from tests.fuzz import rows  # it imports models, so only now

        os.environ |= rows.make(folder)
        command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml"), "run"]
        command += [str(processes.ROOT / "docs" / "openapi.yaml"), "--seed", str(arguments.seed), "--no-color"]
        command += ["--max-examples", str(max(1, half // OPERATIONS)), "--phases", "examples,coverage,fuzzing,stateful"]
        with processes.service(processes.free_port(), {}, folder / "log", clusters=()) as service:
            done = subprocess.run([*command, "--url", service.url, *more], cwd=folder, check=False, timeout=SECONDS)
        if done.returncode:
            _print_faults(folder / "log" / "web.log")
            return 1
        return _told(json.loads((folder / "report.json").read_text()), arguments.cases)


def _told(report: dict[str, Any], wanted: int) -> int:
    """Says how far the calls came. 1 where they were too few, so that nothing passes because nothing was tried."""
    calls = report["test_cases"]["generated"]
    rates = {name: sum(phase["accepted"] for phase in phases.values()) for name, phases in report["valid_rates"].items()}
    never = sorted(name for name, accepted in rates.items() if not accepted)
    print(f"{calls} calls of {report['operations']['tested']} operations, all answered as documented.")
    if never:
        print(f"Only ever refused: {', '.join(never)}.")
    unfinished = [name for name, phase in report["phases"].items() if phase["status"] != "success"]
    if calls < wanted or unfinished or report["operations"]["tested"] < report["operations"]["selected"]:
        print(f"Too little was tried: {calls} calls of {wanted}; phases that did not end well: {', '.join(unfinished) or 'none'}.")
        return 1
    return 0


def _print_faults(log: Path) -> None:
    """The server's own words on what broke."""
    for line in log.read_text(errors="replace").splitlines():
        if " ERROR " in line or " CRITICAL " in line:
            print(line)


if __name__ == "__main__":
    sys.exit(main())
