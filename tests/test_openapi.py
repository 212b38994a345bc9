"""The OpenAPI document is valid, checked in, and what the service does; its pages load nothing from elsewhere."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator
from rest_framework.response import Response

from tests import openapi
from tests.test_tenancy import ROUTES, expected

ROOT = Path(__file__).resolve().parent.parent
# Pages, and what every path of a URLconf ends in.
UNDOCUMENTED = {"schema", "docs", "redoc", "link", "nothing"}


def test_the_checked_in_document_is_the_generated_one(tmp_path: Path) -> None:
    file = tmp_path / "openapi.yaml"
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(file))
    assert file.read_text() == (ROOT / "docs" / "openapi.yaml").read_text(), "run:  make openapi"


@pytest.mark.django_db
def test_the_served_document_is_the_checked_in_one() -> None:
    response = Client().get("/api/schema")
    assert response.status_code == 200
    assert yaml.safe_load(response.content) == yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    assert Client().get("/api/schema/?format=json").json()["openapi"] == "3.1.0"
    odd = Client().get("/api/schema", {"version": 'x"\r\nSet-Cookie: a=b'})
    assert (odd.status_code, odd.content) == (200, response.content)
    assert odd["Content-Disposition"] == 'inline; filename="taskexport.yaml"'


@pytest.mark.django_db
def test_the_document_is_made_once_however_often_anybody_asks() -> None:
    first = Client().get("/api/schema")
    began = time.process_time()
    assert {Client().get(f"/api/schema?x={number}").content for number in range(20)} == {first.content}
    assert time.process_time() - began < 1


def test_every_route_and_method_is_documented() -> None:
    promised = set()
    for path, name in ROUTES:
        if name not in UNDOCUMENTED:
            succeeding = [method.lower() for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if min(expected(name, method)[1:]) < 401]
            promised |= {("/" + re.sub(r"<str:(\w+)>", r"{\1}", path), method) for method in succeeding}
    documented = {(path, method) for path, item in openapi.document()["paths"].items() for method in item if method != "parameters"}
    assert documented == promised


def test_every_operation_has_an_id_a_tag_a_sentence_and_its_errors() -> None:
    ids = []
    for path, item in openapi.document()["paths"].items():
        for method, operation in item.items():
            ids.append(operation["operationId"])
            assert operation["tags"], (method, path)
            assert operation["description"].endswith("."), (method, path)
            assert "429" in operation["responses"], (method, path)
            assert ("401" in operation["responses"]) != (path == "/api/receipt-key"), (method, path)
    assert len(ids) == len(set(ids))


def test_the_examples_fit_their_schemas() -> None:
    checked = 0
    for item in openapi.document()["paths"].values():
        for operation in item.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for example in content.get("examples", {}).values():
                    schema = {**content["schema"], "components": openapi._components()}
                    assert list(Draft202012Validator(schema).iter_errors(example["value"])) == []
                    checked += 1
    assert checked >= 2


def test_the_document_says_what_the_service_refuses_of_every_call() -> None:
    components = openapi.document()["components"]["schemas"]
    assert components["JobCreateRequest"]["additionalProperties"] is False
    assert "additionalProperties" not in components["SingleJob"]  # an answer may gain a field
    parameters = {each["name"]: each["schema"] for each in openapi.document()["paths"]["/api/v1/export-jobs"]["get"]["parameters"]}
    assert parameters["per_page"] == {"type": "integer", "minimum": 1, "maximum": 200}
    (key,) = openapi.document()["paths"]["/api/v1/export-jobs"]["post"]["parameters"]
    assert (key["name"], key["schema"]["maxLength"]) == ("Idempotency-Key", 255)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/api/receipt-key", 200, {"algorithm": "Ed25519"}),
        ("/api/receipt-key", 200, {"algorithm": "Ed25519", "public_key": 5}),
        ("/api/receipt-key", 200, {"algorithm": "Ed25519", "public_key": "x", "more": 1}),
        ("/api/receipt-key", 418, {}),
        ("/api/v1/export-jobs/x/events", 200, {"events": [{}]}),
    ],
)
def test_the_checker_sees_what_is_not_documented(path: str, status: int, body: Any) -> None:
    response = Response(body, status=status, content_type="application/json")
    response.json = lambda: body  # type: ignore[attr-defined]
    response.headers["Content-Type"] = "application/json"
    assert openapi.problems("GET", path, response)


# -- The pages -----------------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/"])
def test_the_pages_run_under_our_csp(path: str) -> None:
    response = Client().get(path)
    page = response.content.decode()
    policy = response["Content-Security-Policy"]
    assert not re.search(r"unsafe|http", policy)
    assert not re.search(r"<style|\s(style|on\w+)=", page)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) == 5
    for address in addresses:
        assert re.match("/(?!/)", address)
        if address.startswith("/static/"):
            assert finders.find(address.removeprefix("/static/"))
        else:
            script = Client().get(address)
            assert script["Content-Type"].startswith("application/javascript")
            text = script.content.decode()
            assert '"validatorUrl": null' in text
            assert set(re.findall(r"https?://[^/\"' ]+", text)) <= {"http://testserver"}
            assert "/api/schema" in text
