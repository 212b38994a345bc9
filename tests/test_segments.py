"""Segments: every operator against rows, every refusal with its path, saved ones over REST, and in export jobs."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exports import sources
from exports.cells import Style
from exports.models import ExportJob, Segment
from exports.services import records, segments, specs
from exports.sources import Dialect
from taskexport.errors import Invalid
from tasks.models import Organization, Task, User
from tests.api import JOBS, wish

pytestmark = pytest.mark.django_db
SEGMENTS = "/api/services/segments"
WIDE = {"creation_start_date": "0001-01-02", "creation_end_date": "9999-12-30"}
NL = {"field_name": "country", "field_type": "keyword", "operator": "is", "value": "NL"}


def rule(name: str, kind: str, operator: str, **value: Any) -> dict[str, Any]:
    return {"field_name": name, "field_type": kind, "operator": operator, **value}


def body(**changes: Any) -> dict[str, Any]:
    return {"name": "Dutch", "index": "users", "join": "all", "rules": [NL]} | changes


@pytest.fixture
def loaded(admin: User, acme: Organization) -> Organization:
    """Five vouchers in acme, whose zone is Amsterdam's."""
    Organization.objects.filter(pk=acme.pk).update(timezone="Europe/Amsterdam")
    acme.refresh_from_db()
    old = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    new = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    given = [
        {"external_id": "a", "code": "Spring", "amount": 5, "status": "open", "created_date": "2024-03-31T00:00:00Z"},
        {"external_id": "b", "code": "SPRING sale", "amount": "7.5", "status": "used", "created_date": "2024-03-31T22:30:00Z"},
        {"external_id": "c", "code": "summer", "amount": 10, "created_date": old, "data": {"shop": "North"}},
        {"external_id": "d", "code": "", "status": "open", "created_date": new, "data": {"shop": "South"}},
        {"external_id": "e", "amount": -1},
    ]
    records.upsert(admin, acme, "vouchers", given)
    return acme


def found(organization: Organization, *rules: dict[str, Any], join: str = "all") -> str:
    """The ids of the vouchers that a segment of these rules has, read as an export reads them."""
    _, kept = segments.checked({"index": "vouchers", "join": join, "rules": list(rules)}, organization)
    values = {"org_name": "x", "name": "x", "type": "custom", "dataset": "vouchers", "columns": ["external_id"], "timezone": organization.timezone}
    query = sources.compile_query(specs.make({**values, **WIDE}, segment=kept).spec, [organization.pk])
    with sources.snapshot(Style()) as snapshot:
        return b"".join(itertools.chain.from_iterable(snapshot.csv_lines(query, Style(), Dialect()))).decode().replace("\n", "")


OPERATORS: list[tuple[str, list[dict[str, Any]]]] = [
    ("ad", [rule("status", "keyword", "is", value="open")]),
    ("bce", [rule("status", "keyword", "is_not", value="open")]),
    ("ab", [rule("code", "text", "contains", value="spring")]),
    ("cde", [rule("code", "keyword", "does_not_contain", value="SPRING")]),
    ("b", [rule("amount", "number", "is", value=7.5)]),
    ("acde", [rule("amount", "number", "is_not", value="7.50")]),
    ("abc", [rule("amount", "number", "is_between_number", min=5, max=10)]),
    ("ab", [rule("created_date", "date", "is_between_date", start_date="2024-03-31", end_date="2024-04-01")]),
    ("a", [rule("created_date", "date", "is_date", value="2024-03-31")]),  # b: 1 April in Amsterdam
    ("b", [rule("created_date", "date", "is_date", value="2024-04-01")]),
    ("bcd", [rule("created_date", "date", "is_after_date", value="2024-03-31")]),
    ("a", [rule("created_date", "date", "is_before_date", value="2024-04-01T00:30:00")]),  # in Amsterdam: 22:30 in UTC
    ("ab", [rule("created_date", "date", "is_before_date", value="2024-04-01T00:30:01")]),
    ("a", [rule("created_date", "date", "is_before_date", value="2024-03-31T22:30:00Z")]),
    ("d", [rule("created_date", "date", "relative_less_than", time_factor="week", time_amount=1)]),
    ("cd", [rule("created_date", "date", "relative_less_than", time_factor="month", time_amount=2)]),
    ("abc", [rule("created_date", "date", "relative_more_than", time_factor="day", time_amount=30)]),
    ("c", [rule("data.shop", "text", "contains", value="NORTH")]),
    ("", [rule("status", "keyword", "is", value="open"), rule("status", "keyword", "is", value="used")]),
]


@pytest.mark.django_db(transaction=True)
def test_every_operator(loaded: Organization) -> None:
    assert [(found(loaded, *rules), rules) for _, rules in OPERATORS] == OPERATORS
    assert {rule["operator"] for _, rules in OPERATORS for rule in rules} == set(segments.OPERATORS)
    assert found(loaded, rule("status", "keyword", "is", value="used"), rule("amount", "number", "is", value=-1), join="any") == "be"
    for factor in ("minute", "hour", "day", "week", "month", "year"):
        assert found(loaded, rule("created_date", "date", "relative_less_than", time_factor=factor, time_amount=1)) in {"", "d", "cd"}
    with pytest.raises(Invalid, match="field_type: status is not of this type; write keyword or text"):
        found(loaded, rule("status", "boolean", "is", value=True))


@pytest.mark.parametrize(
    ("bad", "at"),
    [
        (rule("colour", "keyword", "is", value="x"), "field_name"),
        (rule("status", "string", "is", value="x"), "field_type"),
        (rule("amount", "keyword", "is", value="x"), "field_type"),
        (rule("status", "keyword", "equals", value="x"), "operator"),
        (rule("amount", "number", "contains", value="1"), "operator"),
        (rule("created_date", "date", "is", value="2024-01-01"), "operator"),
        (rule("status", "keyword", "is_between_number", min=1, max=2), "operator"),
        (rule("amount", "number", "is", value="many"), "value"),
        (rule("amount", "number", "is", value=True), "value"),
        (rule("status", "keyword", "is", value=None), "value"),
        (rule("status", "keyword", "is", value=5), "value"),
        (rule("status", "keyword", "is"), "value"),
        (rule("status", "keyword", "is", value="x", min=5), "min"),
        (rule("amount", "number", "is_between_number", min="x", max=2), "min"),
        (rule("amount", "number", "is_between_number", min=3, max=2), "min"),
        (rule("amount", "number", "is_between_number", min=1, max=[]), "max"),
        (rule("created_date", "date", "is_date", value="31.01.2024"), "value"),
        (rule("created_date", "date", "is_date", value="2024-02-30T10:00:00"), "value"),
        (rule("created_date", "date", "is_between_date", start_date="2024-01-01", end_date="x"), "end_date"),
        (rule("created_date", "date", "relative_less_than", time_factor="decade", time_amount=1), "time_factor"),
        (rule("created_date", "date", "relative_less_than", time_factor="day", time_amount=-1), "time_amount"),
        (rule("created_date", "date", "relative_less_than", time_factor="day", time_amount=1.5), "time_amount"),
    ],
)
def test_a_rule_that_does_not_fit_its_field_is_400_with_its_path(client_of: Any, editor: User, acme: Organization, bad: Any, at: str) -> None:
    response = client_of(editor).post(SEGMENTS, body(index="vouchers", rules=[rule("code", "text", "contains", value="x"), bad]))
    assert response.status_code == 400, response.json()
    assert f"rules[1].{at}" in {error["field"] for error in response.json()["field_errors"]}
    assert not Segment.objects.exists()


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"index": "people"}, "index"),
        ({"join": "none"}, "join"),
        ({"rules": []}, "rules"),
        ({"rules": [NL] * 101}, "rules"),
        ({"rules": "x"}, "rules"),
        ({"rules": ["x"]}, "rules.0"),
        ({"chain_id": 10**9, "chain": None}, "chain"),
        ({"name": " "}, "name"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_segment_that_is_none_is_400(client_of: Any, editor: User, acme: Organization, changes: dict[str, Any], at: str) -> None:
    response = client_of(editor).post(SEGMENTS, body(**changes))
    assert response.status_code == 400, response.json()
    assert at in {error["field"] for error in response.json()["field_errors"]}
    assert not Segment.objects.exists()


def test_saved_segments(client_of: Any, editor: User, admin: User, viewer: User, outsider: User, acme: Organization) -> None:
    client = client_of(editor)
    made = client.post(SEGMENTS, body(entity="user", chain_id=acme.pk, chain=acme.pk), headers={"Idempotency-Key": "k"})
    assert made.status_code == 201
    assert client.post(SEGMENTS, body(entity="user", chain_id=acme.pk, chain=acme.pk), headers={"Idempotency-Key": "k"}).json() == made.json()
    segment = made.json()
    path = f"{SEGMENTS}/{segment['id']}"
    assert made["Location"] == f"http://testserver{path}"
    wanted = {"chain_id": acme.pk, "name": "Dutch", "entity": "user", "index": "users", "join": "all", "rules": [NL], "in_words": 'country is "NL"'}
    assert {key: segment[key] for key in wanted} == wanted
    assert client_of(viewer).get(f"{path}/").json() == segment
    assert client.get(SEGMENTS).json() == client.get(f"{SEGMENTS}?chain={acme.pk}&limit=1&offset=0").json() == [segment]
    assert client.get(f"{SEGMENTS}?offset=1").json() == []
    assert client.post(SEGMENTS, body(name="DUTCH")).status_code == 409
    # What was read may be sent back with a change.
    read = client.get(path)
    changed = client.put(path, {**segment, "join": "any", "name": "Dutch or so"}, headers={"If-Match": read["ETag"]})
    assert (changed.status_code, changed.json()["join"], changed.json()["version"]) == (200, "any", 2)
    assert client.put(path, segment, headers={"If-Match": read["ETag"]}).status_code == 412
    before = list(Segment.objects.values())
    for user, status in ((viewer, 403), (outsider, 404)):
        assert client_of(user).put(path, segment).status_code == status
        assert client_of(user).delete(path).status_code == status
        assert client_of(user).post(SEGMENTS, body(chain=acme.pk)).status_code == status
    assert client_of(outsider).get(path).status_code == 404
    assert client_of(outsider).get(SEGMENTS).json() == []
    assert client.delete(path).status_code == 403
    assert list(Segment.objects.values()) == before
    for wrong in ("x", "0", "9" * 30, "-1"):
        assert client.get(f"{SEGMENTS}/{wrong}").status_code == 404
    assert client_of(admin).delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_an_error_has_the_contracts_body(client_of: Any, editor: User, acme: Organization) -> None:
    answer = client_of(editor).get(f"{SEGMENTS}/7").json()
    assert answer == {
        "result": {"code": 2, "status": "error"},
        "error": {"code": 404, "name": "not_found", "description": "There is no such segment."},
        "error_code": "not_found",
    }


def test_a_segment_in_an_export_job_is_frozen(
    client_of: Any, editor: User, admin: User, outsider: User, acme: Organization, globex: Organization
) -> None:
    rules = [rule("city", "text", "contains", value="oslo"), rule("created_at", "date", "relative_less_than", time_factor="day", time_amount=7)]
    segment = segments.create(admin, acme, "Oslo this week", {"index": "tasks", "rules": rules})
    users = segments.create(admin, acme, "Dutch", {"index": "users", "rules": [NL]})
    foreign = segments.create(outsider, globex, "Dutch", {"index": "users", "rules": [NL]})
    client = client_of(editor)
    made = client.post(JOBS, wish(acme, segment_id=segment.pk, filter={"column": "status", "op": "is", "value": "none"}))
    assert made.status_code == 201, made.json()
    tree = ExportJob.objects.get().spec["filter"]
    assert tree["all"][0] == {"column": "status", "op": "is", "value": "none"}
    assert tree["all"][1]["all"][0] == {"column": "city", "op": "contains", "value": "oslo"}
    assert tree["all"][1]["all"][1]["op"] == "between"  # pinned
    segments.update(admin, segment, "Oslo this week", {"index": "tasks", "rules": rules[:1]})
    assert ExportJob.objects.get().spec["filter"] == tree
    for wrong, status in ((users.pk, 400), (foreign.pk, 404), (10**9, 404)):
        assert client.post(JOBS, wish(acme, segment_id=wrong)).status_code == status
    assert ExportJob.objects.count() == 1
    Task.objects.create(organization=acme, title="x", city="Oslo")
    seen = client.post(f"{JOBS}/preflight", wish(acme, segment_id=segment.pk, creation_end_date="2090-01-01"))
    assert seen.status_code == 200
