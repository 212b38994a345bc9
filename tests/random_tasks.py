"""Random tasks of every nasty kind, the same ones on every database: `python -m tests.random_tasks COUNT FOLDER ZONE…` exports them."""

from __future__ import annotations

import random
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import django

SEED = 20240229
PIECES = [
    *("=1+1", "+49 170 1234567", "-5 C", "-5", "@cmd", "'=x", "''=y", "'", "'quoted", "\ttab", "\rreturn", "\nline", "+", "-", "(1)", "+1 (2) 3.4"),
    *(
        'say "hi"',
        "a,b",
        "two\nlines",
        "dos\r\nlines",
        "mac\rlines",
        "\\.",
        "\\N",
        "\\",
        " spaces ",
        "NULL",
        "true",
        "00123",
        "1e5",
        "%s %d %%",
        "{c}",
    ),
    *(
        "Zoë",
        "Дмитро",
        "أحمد",
        "שלום",
        "中文字",
        "日本語",
        "한국어",
        "हिन्दी",
        "ไทย",
        "🏳️‍🌈",
        "\u202eright",
        "\u00a0",
        "\ufeffbom",
        "\x0b\x1f\x7f",
        "\u2028",
        "",
    ),
]
MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1582, 10, 10, 12, 0, 0, 1, tzinfo=UTC),
    datetime(1900, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(1901, 1, 1, tzinfo=UTC),
    datetime(1919, 7, 1, 12, tzinfo=UTC),  # Kathmandu was ahead by an odd number of seconds
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2018, 3, 25, 0, 59, 59, tzinfo=UTC),
    datetime(2018, 3, 25, 1, 0, 0, 500000, tzinfo=UTC),
    datetime(2018, 10, 28, 0, 30, tzinfo=UTC),
    datetime(2018, 10, 28, 1, 30, tzinfo=UTC),
    datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2100, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


def random_text(rng: random.Random, most: int) -> str:
    """A text of up to `most` characters: a piece, several, or anything in Unicode but NUL and surrogates."""
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(PIECES)[:most]
    if kind < 0.8:
        return "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 5)))[:most]
    characters = (
        chr(rng.choice([rng.randrange(1, 0x80), rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x110000)])) for _ in range(rng.randrange(most))
    )
    return "".join(characters)[:most]


def random_moment(rng: random.Random) -> datetime | None:
    """A time between the years 1 and 9999, often at an edge; None at times."""
    if rng.random() < 0.15:
        return None
    if rng.random() < 0.5:
        return rng.choice(MOMENTS)
    moment = datetime(1902, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(190 * 365 * 86400))
    return moment.replace(microsecond=rng.choice([0, 0, 500000, 1, 123456, 120000]))


def make(organization: Any, count: int, seed: int = SEED) -> None:
    """Adds `count` tasks with ids of their own choice, so that two databases hold the very same."""
    from tasks.models import Flow, Hub, Member, Task, TaskStatus

    rng = random.Random(seed)
    flows = [Flow.objects.create(organization=organization, name=f"{number} {piece}"[:200]) for number, piece in enumerate(PIECES[:8])]
    hub = Hub.objects.create(organization=organization, name="=HUB()")
    member = Member.objects.create(organization=organization, name="-Minus Person")
    tasks = []
    for number in range(1, count + 1):
        texts = {field: random_text(rng, 50) for field in ("address_1", "address_2", "address_3", "city", "state")}
        tasks.append(
            Task(
                pk=1_000_000 + number,
                organization=organization,
                external_id=f"{number}-{random_text(rng, 60)}",
                title=random_text(rng, 500) or "untitled",
                status=rng.choice(TaskStatus.values),
                flow=rng.choice([None, *flows]),
                hub=rng.choice([None, hub]),
                assignee=rng.choice([None, member]),
                due_at=random_moment(rng),
                due_on=rng.choice([None, date(1, 1, 1), date(2024, 2, 29), date(9999, 12, 31)]),
                created_at=random_moment(rng) or MOMENTS[5],
                completed_at=random_moment(rng),
                zip=rng.choice(["", "01234", "0", "1234 AB", "-1", "+1"]),
                country=rng.choice(["", "NL", "US"]),
                latitude=rng.choice([None, Decimal("0"), Decimal("-0.0000001"), Decimal("39.3470107281118"), Decimal(rng.randrange(-90, 90))]),
                longitude=rng.choice([None, Decimal("-76.6692365628603"), Decimal("180"), Decimal("0.1"), Decimal("-100.000000000001")]),
                recipient_phone=rng.choice(["", "+49 170 1234567", "=1"]),
                **texts,
            )
        )
    Task.objects.bulk_create(tasks, batch_size=500)


KEYS = ["color", "0", 'a"b', "a.b", "Größe", "", "a\\b", "%s", "$", "[0]"]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 10**20, 1.0, -0.0, 1e16, 1.5e-7, 0.1, 39.3470107281118, "", "null", "true", "1"),
    *({"b": 1, "a": [1, 2.50, None], "aa": {}, "é": "é\n\u2028\x7f"}, [], {}, [[{"z": '\\"/\t\x01'}]]),
]


def add_columns(organization: Any, seed: int = SEED) -> None:
    """Fills what `make` leaves empty: every other column, assignees and attributes of every kind."""
    from tasks.models import Calendar, Case, CaseService, Member, Subject, Task, TaskAssignee, User

    rng = random.Random(seed)
    case = Case.objects.create(organization=organization, name="case, of")
    subject = Subject.objects.create(organization=organization, case=case, name='"subject"')
    calendar = Calendar.objects.create(organization=organization, name="@calendar")
    service = CaseService.objects.create(organization=organization, name="")
    people = [User.objects.create_user(f"{number}@random.example", name=name) for number, name in enumerate(["", "=User", "Зоя"])]
    members = [Member.objects.create(organization=organization, name=f"{piece} {number}") for number, piece in enumerate(PIECES[:20])]
    tasks, assignments = list(Task.objects.filter(organization=organization).order_by("pk")), []
    for task in tasks:
        task.case, task.subject = rng.choice([(None, None), (case, None), (case, subject)])
        task.calendar, task.case_service = rng.choice([None, calendar]), rng.choice([None, service])
        task.completed_by, task.created_by = rng.choice([None, *members]), rng.choice([None, *people])
        task.starts_at, task.ends_at, task.alert_at, task.alert_sent_at = (random_moment(rng) for _ in range(4))
        task.updated_at = random_moment(rng) or MOMENTS[0]
        task.body, task.recipient_name, task.recipient_company, task.recipient_email = (random_text(rng, 200) for _ in range(4))
        task.attributes = {key: rng.choice([*VALUES, random_text(rng, 50)]) for key in rng.sample(KEYS, rng.randrange(len(KEYS)))}
        some = rng.sample(members, rng.choice([0, 0, 1, 2, 5]))
        assignments += [TaskAssignee(task=task, member=member, position=rng.choice([0, number])) for number, member in enumerate(some)]
    names = ["case", "subject", "calendar", "case_service", "completed_by", "created_by", "starts_at", "ends_at", "alert_at", "alert_sent_at"]
    names += ["updated_at", "body", "recipient_name", "recipient_company", "recipient_email", "attributes"]
    Task.objects.bulk_update(tasks, names, batch_size=200)
    TaskAssignee.objects.bulk_create(assignments, batch_size=500)


def all_columns() -> tuple[Any, ...]:
    """Every column of tasks, and an attribute column of each key."""
    from exports.datasets import ATTRIBUTES, DATASETS

    return tuple({"key": key, "title": key} for key in [*DATASETS["tasks"].columns, *(ATTRIBUTES + key for key in KEYS if key)])


def export(
    organization: Any, format_name: str, zone: str = "UTC", config: str = "basic", *, columns: Any = None, **options: Any
) -> tuple[bytes, list[Any]]:
    """The organization's tasks as the worker writes them, and the issues."""
    from dataclasses import replace

    from exports import sources
    from exports.formats import FORMATS
    from exports.formats.base import Target
    from exports.formats.issues import Issues
    from exports.services import specs

    window = {"creation_start_date": "0001-01-01", "creation_end_date": "9999-12-31"}
    spec = specs.make({"org_name": "x", "name": "x", "type": config, "timezone": zone, "format": format_name, "options": options, **window}).spec
    spec = replace(spec, columns=columns) if columns else spec
    format_ = FORMATS[format_name]
    with sources.snapshot(format_.style(spec)) as snapshot:
        query = sources.compile_query(spec, [organization.pk])
        counted = snapshot.count(query)
        issues = Issues(counted)
        pieces = format_.write(snapshot, query, spec, Target(counted, "random", datetime(2024, 1, 1, tzinfo=UTC), issues))
        file = b"".join(pieces)
        assert snapshot.rows_read == counted
    return file, issues.found


def main(count: str, folder: str, *zones: str) -> None:
    """Migrates the empty database that DATABASE_URL names, fills it, exports it in each zone: FOLDER/0.csv …, 0-all.csv …."""
    django.setup()
    from django.core.management import call_command

    from tasks.models import Organization

    call_command("migrate", verbosity=0)
    organization = Organization.objects.create(slug="random", name="Random")
    make(organization, int(count))
    add_columns(organization)
    for number, zone in enumerate(zones):
        Path(folder, f"{number}.csv").write_bytes(export(organization, "csv", zone, archive="none")[0])
        Path(folder, f"{number}.ndjson").write_bytes(export(organization, "ndjson", zone)[0])
        Path(folder, f"{number}.xlsx").write_bytes(export(organization, "xlsx", zone)[0])
        Path(folder, f"{number}-all.csv").write_bytes(export(organization, "csv", zone, columns=all_columns(), archive="none")[0])
        Path(folder, f"{number}-all.ndjson").write_bytes(export(organization, "ndjson", zone, columns=all_columns())[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
