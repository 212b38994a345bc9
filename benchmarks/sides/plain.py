"""The least that could be done: the database's own client, and sqlite3 with csv.writer. No Django set up in the process."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measured, metered, of, peak_mb
from tests import postgres

# What our own snapshot sets (exports/sources).
SESSION = {"work_mem": "64MB", "jit": "off", "TimeZone": "UTC", "DateStyle": "ISO,YMD", "statement_timeout": "0"}
LOOK_SECONDS = 0.01


def _select(rows: int) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.child", "select", str(rows)], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def psql_copy(rows: int, path: Path) -> Measured:
    r"""`psql \copy` of our SELECT, without guard and time formatting; the processor's time and memory are psql's."""
    query = _select(rows)
    where = ["-h", query["host"], "-U", query["user"], "-d", query["database"]]
    command = [str(postgres.installed() / "bin" / "psql"), "-X", *where, "-c", f"\\copy ({query['sql']}) TO '{path}' WITH (FORMAT csv)"]
    env = {**os.environ, "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in SESSION.items())}
    measured = Measured()
    with metered(measured):
        psql = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        while psql.poll() is None:
            try:
                measured.peak_mb = max(measured.peak_mb, peak_mb(psql.pid))
                psql.wait(LOOK_SECONDS)
            except (subprocess.TimeoutExpired, StopIteration, FileNotFoundError):
                pass  # it runs on, or has just ended
    assert psql.stdout
    said = psql.stdout.read()
    if psql.returncode:
        raise RuntimeError(f"psql ended with {psql.returncode}")
    measured.rows, measured.bytes = int(said.removeprefix("COPY ")), path.stat().st_size
    return measured


def sqlite_plain(rows: int, path: Path) -> Measured:
    """The rows of our SELECT as they come from sqlite3, through csv.writer to a plain file."""
    query = _select(rows)

    def write(path: Path) -> int:
        connection = sqlite3.connect(f"file:{query['database']}?mode=ro", uri=True)
        written = 0
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            cursor = connection.execute(query["sql"], query["params"])
            while block := cursor.fetchmany(1000):
                writer.writerows(block)
                written += len(block)
        connection.close()
        return written

    return of(write, path)


SIDES = {"psql-copy": psql_copy, "sqlite-plain": sqlite_plain}
