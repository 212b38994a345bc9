"""Made-up tasks, the same ones for the same seed: many scripts, hostile texts, gaps, and two years of times."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import models, transaction

from tasks.models import Calendar, Case, CaseService, Flow, Hub, Member, Organization, Subject, Task, TaskAssignee, TaskStatus

BATCH_ROWS = 2000
# Not the present, so that every run makes the same tasks.
FIRST = datetime(2024, 9, 1, tzinfo=UTC)
TWO_YEARS_SECONDS = 730 * 24 * 3600
XLSX_CELL_CHARS = 32_767  # a cell of a workbook holds no more, which one body must exceed

PEOPLE = [
    "Zoë Müller", "José Ñandú", "Łukasz Żółć", "Søren Ærø", "İpek Şahin", "Юлия Ёлкина", "Дмитро Їжак", "Γιώργος Παπαδόπουλος",
    "محمد الأحمد", "דוד כהן", "王小明", "陳美玲", "山田 太郎", "さくら ﾃｽﾄ", "김민준", "अर्जुन शर्मा", "สมชาย ใจดี", "Nguyễn Thị Hằng",
    "O'Brien, Siobhán", 'Ada "Countess" Byron', "=HYPERLINK", "+Plus Person", "👩‍🔧 Fixer", "Amélie de la Cruz-Østergård",
]  # fmt: skip
PLACES = [
    ("Keizersgracht 12-III", "Amsterdam", "NH", "1015 CJ", "NL", 52.3702157, 4.8951679),
    ("221B Baker Street", "London", "", "NW1 6XE", "GB", 51.523767, -0.1585557),
    ("17 Main St, Apt #4; rear", "Boston", "MA", "02134", "US", 42.3500000, -71.13),
    ("Straße des 17. Juni 135", "Berlin", "BE", "01069", "DE", 52.5125, 13.3269),
    ("Rua Açaí 7", "São Paulo", "SP", "01310-100", "BR", -23.5614, -46.6559),
    ("千代田区丸の内1丁目", "東京", "東京都", "100-0005", "JP", 35.6812362, 139.7671248),
    ("ул. Пушкина, д. 10", "Київ", "", "01001", "UA", 50.4501, 30.5234),
    ("Λεωφόρος Αλεξάνδρας 5", "Αθήνα", "", "114 73", "GR", 37.98381, 23.727539),
    ("شارع التحرير ٥", "القاهرة", "", "00202", "EG", 30.0444196, 31.2357116),
    ("세종대로 110", "서울", "", "04524", "KR", 37.5662952, 126.9779451),
    ("1 Null Island Quay", "Null Island", "", "00000", "", 0.0, 0.0),
    ("Cape Horn 1", "Puerto Williams", "XII", "0635", "CL", -55.98, -67.2713889),
]
WORK = [
    "Replace filter", "Störung Aufzug", "Remplacer l'ampoule", "Проверить котёл", "Έλεγχος λέβητα", "فحص المصعد", "תיקון מזגן",
    "更换电表", "エレベーター点検", "보일러 점검", "मीटर बदलें", "เปลี่ยนหลอดไฟ", "🚰 leak → valve", "Fix the “quoted” door",
    "Read meter, both dials; note",
]  # fmt: skip
# What a spreadsheet would run, trim or turn into something else.
TRAPS = [
    "=1+1", "=HYPERLINK(\"https://example.com\",\"x\")", "+49 170 1234567", "-5 C", "@cmd", "'=x", "\tindented", "\rreturned", "\nlowered", "'quoted",
    "00123", "1e5", "2026-03-28", "3/4", "TRUE", "NULL", "  spaces around  ", "a,b;c|d", 'say ""twice""', "first\nsecond\r\nthird",
    "\u202eright to left",
    "non\u00a0breaking", "zero\u200bwidth", "e\u0301 and é", "𝕬stral 🏳️‍🌈", "_x000D_", "<b>&amp;</b>", "\\N", "\\", '"', "−7", "＝1",
]  # fmt: skip
PHONES = ["+49 170 1234567", "+31 (0)20 123 45 67", "06-12345678", "(410) 555-0199", "0041 44 668 18 00", "+1 410 555 0100 ext. 7"]
KINDS: dict[type[models.Model], list[str]] = {
    Flow: ["Inspection", "Repair", "Wartung", "点検", "=Flow", "Delivery & pick-up"],
    Hub: ["North", "Süd", "Ανατολή", "West; harbour", "本部"],
    Calendar: ["Day shift", "Nachtschicht", "On call, weekend"],
    CaseService: ["Warranty", "Contract", "Sinistre", "+Extra"],
}
CASES = 80


def make_tasks(organization: Organization, count: int, seed: int = 1) -> None:
    """Makes the organization's first `count` demo tasks with all they hang on; called twice, it writes the same tasks over themselves."""
    with transaction.atomic():
        kinds = {kind: _named(kind, organization, names) for kind, names in KINDS.items()}
        cases = _named(Case, organization, [f"{PEOPLE[n % len(PEOPLE)]} / {n + 1:03}" for n in range(CASES)])
        subjects = _subjects(organization, cases)
        members = _members(organization)
        for start in range(0, count, BATCH_ROWS):
            made = [_task(organization, kinds, subjects, members, number, seed) for number in range(start, min(count, start + BATCH_ROWS))]
            _save([task for task, _ in made], [people for _, people in made])


def _named(kind: type[models.Model], organization: Organization, names: list[str]) -> list[Any]:
    rows = kind._default_manager.filter(organization=organization, name__in=names)
    kind._default_manager.bulk_create([kind(organization=organization, name=name) for name in names], ignore_conflicts=True)
    found = {row.name: row for row in rows.all()}  # type: ignore[attr-defined]
    return [found[name] for name in names]


def _subjects(organization: Organization, cases: list[Case]) -> list[Subject]:
    made = [Subject(organization=organization, case=case, name=PEOPLE[(number * 7) % len(PEOPLE)]) for number, case in enumerate(cases)]
    Subject.objects.bulk_create(made, ignore_conflicts=True)
    found = {(row.case_id, row.name): row for row in Subject.objects.filter(organization=organization, case__in=cases).select_related("case")}
    return [found[row.case_id, row.name] for row in made]


def _members(organization: Organization) -> list[Member]:
    """The field workers; they have no user, so nobody signs in as one."""
    workers = Member.objects.filter(organization=organization, user=None)
    known = set(workers.values_list("name", flat=True))
    emails = [f"worker{number}@{organization.slug}.example" if number % 2 else "" for number in range(len(PEOPLE))]
    Member.objects.bulk_create(
        Member(organization=organization, name=name, email=email) for name, email in zip(PEOPLE, emails, strict=True) if name not in known
    )
    found = {member.name: member for member in workers.all()}
    return [found[name] for name in PEOPLE]


def _task(
    organization: Organization, kinds: dict[type[models.Model], list[Any]], subjects: list[Subject], members: list[Member], number: int, seed: int
) -> tuple[Task, list[Member]]:
    # A source of its own per task: task 7 is the same one however many there are.
    rng = random.Random(f"{seed}:{number}")
    some = rng.random
    created_at = FIRST + timedelta(seconds=rng.randrange(TWO_YEARS_SECONDS), microseconds=rng.choice([0, 0, 0, 500_000, 123_456]))
    due_at = created_at + timedelta(minutes=rng.randrange(60, 30 * 24 * 60)) if some() < 0.8 else None
    status = rng.choices(TaskStatus.values, [20, 25, 15, 40])[0]
    done = status == TaskStatus.COMPLETE
    starts_at = due_at - timedelta(hours=2) if due_at and some() < 0.6 else None
    people = rng.sample(members, rng.choices([0, 1, 2, 3], [20, 50, 20, 10])[0])
    subject = rng.choice(subjects) if some() < 0.7 else None
    street, city, state, code, country, latitude, longitude = rng.choice(PLACES)
    has_place = some() < 0.9
    task = Task(
        organization=organization,
        external_id=f"demo-{number + 1:07}",
        title=_title(rng, number),
        body=_body(rng, number),
        status=status,
        case=subject.case if subject else None,
        subject=subject if some() < 0.8 else None,
        calendar=rng.choice([None, *kinds[Calendar]]),
        case_service=rng.choice([None, *kinds[CaseService]]),
        flow=rng.choice([None, *kinds[Flow]]),
        hub=rng.choice([None, *kinds[Hub]]),
        assignee=people[0] if people else None,
        due_at=due_at,
        due_on=due_at.astimezone(ZoneInfo(organization.timezone)).date() if due_at else None,
        starts_at=starts_at,
        ends_at=due_at if starts_at else None,
        alert_at=due_at - timedelta(days=1) if due_at and some() < 0.3 else None,
        completed_at=created_at + timedelta(seconds=rng.randrange(60, 20 * 24 * 3600), microseconds=rng.choice([0, 7])) if done else None,
        completed_by=people[-1] if done and people else None,
        recipient_name=rng.choice(PEOPLE) if some() < 0.7 else "",
        recipient_company=rng.choice(["", "", "Bäcker & Söhne GmbH", "株式会社テスト", "=Holdings, Inc."]),
        recipient_phone=rng.choice(["", *PHONES]),
        recipient_email=f"recipient{number}@example.com" if some() < 0.5 else "",
        address_1=street if has_place else "",
        address_2=rng.choice(["", "", "c/o Zoë", "2nd floor\nring twice"]) if has_place else "",
        address_3=rng.choice(["", "", "", "-1 level"]) if has_place else "",
        city=city if has_place else "",
        state=state if has_place else "",
        zip=code if has_place else "",
        country=country if has_place else "",
        latitude=_near(rng, latitude) if has_place else None,
        longitude=_near(rng, longitude) if has_place else None,
        attributes=_attributes(rng, number),
        created_at=created_at,
    )
    return task, people


def _title(rng: random.Random, number: int) -> str:
    if number % 997 == 5:
        return ("Very long title – sehr langer Titel – 非常长的标题 – " * 20)[:500]
    if number % 11 == 3:
        return TRAPS[(number // 11) % len(TRAPS)]
    return f"{rng.choice(WORK)} {rng.randrange(1, 9999)}"


def _body(rng: random.Random, number: int) -> str:
    if number == 42:
        return "Longer than a workbook's cell. " * (XLSX_CELL_CHARS // 31 + 50)
    if number % 1999 == 17:
        return "\n".join(f"{line + 1}. {rng.choice(WORK)}, “{rng.choice(PEOPLE)}”" for line in range(120))
    if number % 13 == 4:
        return TRAPS[(number // 13) % len(TRAPS)]
    if rng.random() < 0.4:
        return ""
    return "\n".join(rng.choice(WORK) for _ in range(rng.randrange(1, 4)))


def _near(rng: random.Random, degrees: float) -> Decimal:
    return Decimal(str(round(degrees + rng.uniform(-0.01, 0.01), rng.choice([0, 2, 6, 7])))) if degrees else Decimal(0)


def _attributes(rng: random.Random, number: int) -> dict[str, Any]:
    if number % 10 == 9:
        return {}
    found: dict[str, Any] = {"priority": rng.choice(["low", "normal", "high", "höchste"]), "meter_no": f"{rng.randrange(10**8):08}"}
    if rng.random() < 0.5:
        found["reading"] = rng.choice([rng.randrange(100_000), round(rng.uniform(0, 100), 3), str(rng.randrange(100))])
    if rng.random() < 0.3:
        found["signed"] = rng.random() < 0.5
    if rng.random() < 0.2:
        found["note"] = rng.choice(TRAPS)
    if rng.random() < 0.1:
        found["Ключ с пробелом"] = rng.choice(["да", "", None])
    if rng.random() < 0.05:
        found["parts"] = [{"sku": f"{rng.randrange(1000):06}", "n": rng.randrange(1, 5)}]
    return found


def _save(tasks: list[Task], people: list[list[Member]]) -> None:
    fields = [field.name for field in Task._meta.concrete_fields if field.name not in {"id", "organization", "external_id"}]
    saved = Task.objects.bulk_create(tasks, update_conflicts=True, unique_fields=["organization", "external_id"], update_fields=fields)
    TaskAssignee.objects.filter(task__in=saved).delete()
    TaskAssignee.objects.bulk_create(
        TaskAssignee(task=task, member=member, position=position)
        for task, members in zip(saved, people, strict=True)
        for position, member in enumerate(members)
    )
