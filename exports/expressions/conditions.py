"""Texts in conditions and sorts."""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, Func, TextField

from exports.expressions.base import Templated


class ContainsText(Func):
    """Whether a text holds another in any case of letters."""

    template = "strpos(%(expressions)s) > 0"
    output_field = BooleanField()

    def __init__(self, text: Any, part: Any) -> None:
        super().__init__(AnyCase(text), AnyCase(part))

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="instr(%(expressions)s) > 0")


class AnyCase(Templated):
    """A text in small letters, each character by itself."""

    postgres = "lower({c})"
    sqlite = "small_text({c})"
    output_field = TextField()


class Bytewise(Templated):
    """A text that sorts by its bytes, as SQLite does, whatever the database's language."""

    postgres = '({c}) COLLATE "C"'
    output_field = TextField()


def small_text(text: str | None) -> str | None:
    """The text in small letters; no character depends on its neighbours or becomes two."""
    return text if text is None else text.lower() if text.isascii() else "".join(character.lower()[0] for character in text)
