"""What expressions of our own are made of."""

from __future__ import annotations

from typing import Any

from django.db.models import Func


class Templated(Func):
    """One source expression set into a template a database, in which `{c}` stands for it, as often as need be."""

    postgres = "{c}"
    sqlite = "{c}"

    def as_sql(self, compiler: Any, connection: Any, function: Any = None, template: Any = None, arg_joiner: Any = None, **extra: Any) -> Any:
        template = self.postgres if connection.vendor == "postgresql" else self.sqlite
        sql, params = compiler.compile(self.source_expressions[0])
        return template.replace("{c}", sql), tuple(params) * template.count("{c}")
