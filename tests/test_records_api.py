"""Records: typed, checked, all or none, put in or replaced by their ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from exports.datasets.records import FIELDS, RECORDS
from exports.services import records
from tasks.models import DataRecord, Organization, RecordIndex, User
from tests.making import at_once

pytestmark = pytest.mark.django_db
RECORDS_PATH = "/api/services/records"
EXAMPLES: dict[str, Any] = {
    "timestamp": "2024-01-31T12:00:00Z",
    "created_date": "2024-01-31",
    "date_time_redeemed": "2024-07-01T10:00:00",
    "amount": 12.5,
    "price": "99.950",
    "user_id": 77,
}


def test_every_declared_field_of_every_index(client_of: Any, editor: User, acme: Organization) -> None:
    Organization.objects.filter(pk=acme.pk).update(timezone="Europe/Amsterdam")
    client = client_of(editor)
    assert set(FIELDS) == set(RecordIndex.values)
    for index, fields in FIELDS.items():
        record = {
            "external_id": "1",
            **{name: EXAMPLES.get(name, f"some {name}") for name in fields},
            "data": {"colour": "red", "deep": [1, {"a": None}]},
        }
        made = client.put(f"{RECORDS_PATH}/{index}", {"records": [record]})
        assert (made.status_code, made.json()) == (200, {"index": index, "created": 1, "updated": 0})
        row = DataRecord.objects.get(index=index)
        wanted = {"timestamp": datetime(2024, 1, 31, 12, tzinfo=UTC), "created_date": datetime(2024, 1, 30, 23, tzinfo=UTC)}
        assert row.timestamp == wanted[fields[0]] == DataRecord.objects.annotate(x=RECORDS[index].columns[fields[0]].expression).get(index=index).x
        stated = {"date_time_redeemed": "2024-07-01T08:00:00Z", "amount": "12.5", "price": "99.95", "user_id": "77"}
        assert row.data == {**{name: stated.get(name, f"some {name}") for name in fields[1:]}, "colour": "red", "deep": [1, {"a": None}]}


def test_the_same_id_replaces_the_whole_record(client_of: Any, editor: User, acme: Organization, globex: Organization, outsider: User) -> None:
    client = client_of(editor)
    first = [{"external_id": "a", "code": "x", "amount": 1, "data": {"k": 1}}, {"external_id": 2, "code": "y"}]
    assert client.put(f"{RECORDS_PATH}/vouchers", {"records": first, "chain": acme.pk}).json() == {"index": "vouchers", "created": 2, "updated": 0}
    again = [{"external_id": "2", "code": "z"}, {"external_id": "a", "status": None}, {"external_id": "c"}]
    assert client.put(f"{RECORDS_PATH}/vouchers/", {"records": again}).json() == {"index": "vouchers", "created": 1, "updated": 2}
    assert dict(DataRecord.objects.values_list("external_id", "data")) == {"a": {}, "2": {"code": "z"}, "c": {}}
    # Another organization's and another index's of the same id are others.
    assert client_of(outsider).put(f"{RECORDS_PATH}/vouchers", {"records": first[:1]}).json()["created"] == 1
    assert client.put(f"{RECORDS_PATH}/users", {"records": [{"external_id": "a"}]}).json()["created"] == 1


@pytest.mark.parametrize(
    ("bad", "at"),
    [
        ({"external_id": "a"}, "external_id"),
        ({}, "external_id"),
        ({"external_id": ""}, "external_id"),
        ({"external_id": "x" * 201}, "external_id"),
        ({"external_id": 1.5}, "external_id"),
        ({"external_id": "b", "colour": "red"}, "colour"),
        ({"external_id": "b", "amount": "much"}, "amount"),
        ({"external_id": "b", "amount": True}, "amount"),
        ({"external_id": "b", "amount": "1e400"}, "amount"),
        ({"external_id": "b", "amount": "1234567890.1234567"}, "amount"),
        ({"external_id": "b", "amount": "NaN"}, "amount"),
        ({"external_id": "b", "created_date": "yesterday"}, "created_date"),
        ({"external_id": "b", "created_date": "2024-02-30"}, "created_date"),
        ({"external_id": "b", "created_date": 1706659200}, "created_date"),
        ({"external_id": "b", "date_time_redeemed": "0000-01-01T00:00:00Z"}, "date_time_redeemed"),
        ({"external_id": "b", "code": 1.5}, "code"),
        ({"external_id": "b", "code": ["x"]}, "code"),
        ({"external_id": "b", "code": "x" * 10_001}, "code"),
        ({"external_id": "b", "data": []}, "data"),
        ({"external_id": "b", "data": {"amount": 1}}, "data.amount"),
        ({"external_id": "b", "data": {"": 1}}, "data"),
        ({"external_id": "b", "data": {str(n): n for n in range(201)}}, "data"),
        ("b", ""),
    ],
)
def test_one_bad_record_stops_them_all(client_of: Any, editor: User, acme: Organization, bad: Any, at: str) -> None:
    response = client_of(editor).put(f"{RECORDS_PATH}/vouchers", {"records": [{"external_id": "a", "code": "x"}, bad]})
    assert response.status_code == 400, response.json()
    wanted = f"records[1].{at}" if at else "records[1]"
    assert [error["field"] for error in response.json()["field_errors"]] == [wanted]
    assert not DataRecord.objects.exists()


def test_who_may_and_how_many(client_of: Any, editor: User, viewer: User, outsider: User, owner: User, acme: Organization) -> None:
    one = [{"external_id": "a"}]
    for user, status in ((viewer, 403), (outsider, 404), (owner, 403)):
        assert client_of(user).put(f"{RECORDS_PATH}/users", {"records": one, "chain": acme.pk}).status_code == status
    client = client_of(editor)
    wrong: Any
    for wrong in ([], None, "x", {}, [{"external_id": str(number)} for number in range(10_001)]):
        assert client.put(f"{RECORDS_PATH}/users", {"records": wrong}).status_code == 400
    for wrong in ({}, {"records": one, "more": 1}, {"records": one, "chain": "x"}, {"records": one, "chain": True}):
        assert client.put(f"{RECORDS_PATH}/users", wrong).status_code == 400
    assert client.put(f"{RECORDS_PATH}/tasks", {"records": one}).status_code == 404
    assert not DataRecord.objects.exists()
    many = client.put(f"{RECORDS_PATH}/users", {"records": [{"external_id": f"{number}", "email": "x"} for number in range(10_000)]})
    assert many.json() == {"index": "users", "created": 10_000, "updated": 0}
    errors = client.put(f"{RECORDS_PATH}/users", {"records": [{"external_id": ""}] * 10_000}).json()
    assert len(errors["field_errors"]) == 100
    assert errors["error"]["description"].endswith("; and 9900 more")


def test_a_number_that_is_none_is_400(client_of: Any, editor: User, acme: Organization) -> None:
    raw = '{"records": [{"external_id": "a", "data": {"x": 1e400}}]}'
    assert client_of(editor).generic("PUT", f"{RECORDS_PATH}/users", raw, content_type="application/json").status_code == 400
    assert not DataRecord.objects.exists()


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_two_calls_at_once_do_not_lock_each_other_out(editor: User, acme: Organization) -> None:
    given = [{"external_id": f"{number}", "email": "x"} for number in range(300)]
    done = at_once(*(lambda order=order: records.upsert(editor, acme, "users", order) for order in (given, given[::-1], given, given[::-1])))
    assert {type(each).__name__ for each in done} == {"Loaded"}, done
    assert DataRecord.objects.count() == 300
