"""What a log line holds, and what it never does."""

from __future__ import annotations

import json
import logging
import re
import traceback

import pytest
from django.test import RequestFactory

from taskexport.logs import json_formatter, where


def logged(message: str, *, failing: bool = False, **extra: object) -> dict[str, object]:
    """The line that production would write."""

    def fail() -> None:
        password = "canary of a local value"
        raise ValueError(f"canary of a message, {len(password)}")

    error: BaseException | None = None
    try:
        if failing:
            fail()
    except ValueError as caught:
        error = caught
    found = (type(error), error, error.__traceback__) if error else None
    record = logging.getLogger("django.request").makeRecord("django.request", logging.ERROR, __file__, 1, message, (), found, extra=extra)
    line: dict[str, object] = json.loads(json_formatter().format(record))
    return line


def test_an_error_is_logged_by_its_type_and_lines_without_message_and_values() -> None:
    line = logged("Internal Server Error: /admin/", failing=True)
    assert "canary" not in json.dumps(line)
    assert str(line["where"]).startswith("ValueError at tests/test_logs.py:")


def test_a_request_is_logged_without_its_query_and_a_link_without_its_token() -> None:
    request = RequestFactory().get("/d/canary:token", {"q": "canary of a person"})
    line = logged(f"Range Not Satisfiable: {request.path}", request=request, status_code=416)
    assert "canary" not in json.dumps(line)
    assert (line["event"], line["status_code"]) == ("Range Not Satisfiable: /d/…", 416)


def test_a_request_that_breaks_in_the_server_is_logged_without_its_query_token_and_message() -> None:
    for address, shown in (("/d/canary:token?x=canary", "/d/…?…"), ("/api/v1/tasks?title=canary", "/api/v1/tasks?…"), ("/?canary", "/?…")):
        line = logged(f"Error handling request GET {address}", failing=True)
        assert "canary" not in json.dumps(line)
        assert line["event"] == f"Error handling request GET {shown}"


def test_what_the_queue_says_of_a_failure_holds_no_message() -> None:
    def fail() -> None:
        raise ValueError("canary of a message\nDETAIL: a canary - with : more")

    try:
        fail()
    except ValueError as error:  # as django-q2 puts it together
        result = f"{error} : {traceback.format_exc()}"
    line = logged(f"Failed 'exports.worker.run_next' (four-word-name) - {result}")
    assert "canary" not in json.dumps(line)
    assert line["event"] == "Failed 'exports.worker.run_next' (four-word-name)"
    assert re.fullmatch(r"ValueError at tests/test_logs.py:\d+ > tests/test_logs.py:\d+", str(line["where"]))


@pytest.mark.parametrize("name", ["<string>", "/a/b/c.py", "c.py"])
def test_where_reads_any_file_name(name: str) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1/0", name, "exec"))
    assert f"{'/'.join(name.split('/')[-2:])}:1" in where(caught.value)
