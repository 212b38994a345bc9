"""What is measured, and what each is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One side: the module of `benchmarks.sides` that runs it, and the database it reads."""

    name: str
    module: str
    database: str = "postgres"

    @property
    def base(self) -> str:
        """The case that its ratio is to."""
        return BASES[self.database]

    @property
    def is_plain(self) -> bool:
        """Whether it knows no Django, and is what others are held against."""
        return self.module == "plain"

    @property
    def is_peer(self) -> bool:
        """Whether it may run on a tenth of the rows."""
        return self.module == "peers"


BASES = {"postgres": "psql-copy", "sqlite": "sqlite-plain"}
CASES = {
    case.name: case
    for case in (
        Case("psql-copy", "plain"),
        Case("csv.zip", "ours"),
        Case("json", "ours"),
        Case("ndjson.gz", "ours"),
        Case("xlsx", "ours"),
        Case("parquet", "ours"),
        Case("sqlite-plain", "plain", "sqlite"),
        Case("sqlite-csv.zip", "ours", "sqlite"),
        Case("values_list+csv", "peers"),
        Case("django-import-export", "peers"),
        Case("openpyxl", "peers"),
        Case("xlsxwriter", "peers"),
        Case("pyexcelerate", "peers"),
        Case("rust-writer", "peers"),
    )
}
