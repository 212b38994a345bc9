"""The tables of the guides are true: every test that they name exists, and together they name every path of the service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.openapi import document

ROOT = Path(__file__).resolve().parent.parent
GUIDES = ["api.md", "case-tasks.md", "operations-api.md", "task-exports.md", "scheduled-tasks.md"]
TEXTS = {name: (ROOT / "docs" / name).read_text() for name in GUIDES}
SECTION = "## Every field of the source"


@pytest.mark.parametrize("guide", GUIDES)
def test_every_test_that_a_table_names_exists(guide: str) -> None:
    table = TEXTS[guide].partition(SECTION)[2]
    named = set(re.findall(r"`(?:tests/)?(test_\w+\.py)::(test_\w+)", table)) | {("", name) for name in re.findall(r"`(test_\w+)`", table)}
    assert len(named) >= 5
    sources = {path.name: path.read_text() for path in (ROOT / "tests").glob("test_*.py")}
    lacking = {name for file, name in named if f"def {name}(" not in (sources.get(file, "") if file else "".join(sources.values()))}
    assert lacking == set()


def test_the_guides_name_every_path() -> None:
    text = "".join([*TEXTS.values(), (ROOT / "docs" / "deliveries.md").read_text()]).replace("/{id}", "").replace("…", "")
    paths = {path for path in document()["paths"] if not path.startswith("/api/schema")}
    last = {path: re.sub(r"/\{[^}]+\}", "", path).rpartition("/")[2] for path in paths}
    assert {path for path, word in last.items() if word not in text} == set()
