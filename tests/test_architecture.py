"""What the code's layout promises: imports run one way, one module reads the environment, doors only ask."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("taskexport", "tasks", "exports")
MODULES = [*sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")), ROOT / "manage.py"]
# Settings read the environment; these only prepare it for Django or hand it on to a child.
KNOW_THE_ENVIRONMENT = {"taskexport/settings.py", "manage.py", "taskexport/wsgi.py", "taskexport/processes.py", "taskexport/cli/session.py"}
DOORS = ("exports/api", "exports/admin", "exports/worker", "exports/management", "tasks/api", "tasks/admin", "tasks/management")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_door(path: Path) -> bool:
    return any(name(path) == f"{door}.py" or name(path).startswith(f"{door}/") for door in DOORS)


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(), str(path)))


def imported(node: ast.AST) -> list[str]:
    """The dotted names that the statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def reads_the_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
        return node.attr in {"environ", "environb", "getenv"}
    return any(module.startswith(("os.environ", "os.getenv", "environ")) for module in imported(node))


def opens_a_transaction(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "atomic") or any(
        module.startswith("django.db.transaction.") for module in imported(node)
    )


def sets_a_status(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
        return any(keyword.arg == "status" for keyword in node.keywords)
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []
    return any(isinstance(part, ast.Attribute) and part.attr == "status" for target in targets for part in ast.walk(target))


def test_imports_run_one_way() -> None:
    done = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_settings_read_the_environment() -> None:
    assert {name(path) for path in MODULES if any(map(reads_the_environment, nodes(path)))} == KNOW_THE_ENVIRONMENT


def test_services_and_models_know_no_http() -> None:
    inner = [path for path in MODULES if name(path).startswith(("exports/services/", "exports/models/", "tasks/models/"))]
    assert inner
    assert [name(path) for path in inner for node in nodes(path) if any(m.startswith("django.http") for m in imported(node))] == []


@pytest.mark.parametrize("path", [path for path in MODULES if is_door(path)], ids=name)
def test_a_door_only_asks(path: Path) -> None:
    for node in nodes(path):
        line = f"{name(path)}:{getattr(node, 'lineno', 0)}"
        assert not opens_a_transaction(node), f"{line} opens a transaction; that is a service's work"
        assert not sets_a_status(node), f"{line} sets a status; ask exports.services.jobs"


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import os\nos.environ['A']", reads_the_environment),
        ("from os import environ", reads_the_environment),
        ("import environ", reads_the_environment),
        ("with transaction.atomic(): pass", opens_a_transaction),
        ("from django.db.transaction import atomic", opens_a_transaction),
        ("job.status = 'done'", sets_a_status),
        ("job.name, job.status = 'a', 'done'", sets_a_status),
        ("jobs.filter(pk=1).update(status='done')", sets_a_status),
    ],
)
def test_the_rules_see_what_they_forbid(code: str, rule: object) -> None:
    assert callable(rule)
    assert any(rule(node) for node in ast.walk(ast.parse(code)))
