"""`manage.py import_tasks`: the rows of a CSV or XLSX file become tasks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exports.services.imports import running
from taskexport.errors import AppError
from tasks import importing


class Command(BaseCommand):
    help = "Imports tasks from a CSV (UTF-8) or XLSX file; a row whose external_id the organization has already updates that task."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="the CSV or XLSX file, with a header row")
        parser.add_argument("--organization", required=True, metavar="O", help="id, uuid or slug of the organization")
        parser.add_argument("--map", required=True, type=Path, metavar="M", help="JSON file that says which column goes where")
        parser.add_argument("--timezone", metavar="Z", help="zone of times without one; else the mapping's, else the organization's")
        parser.add_argument("--dry-run", action="store_true", help="do everything, and commit nothing")
        parser.add_argument("--skip-bad", action="store_true", help="import the good rows although some are bad")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            organization = importing.find_organization(options["organization"])
            result = running.run_file(
                organization,
                options["file"],
                importing.read_mapping(options["map"]),
                timezone=options["timezone"],
                dry_run=options["dry_run"],
                skip_bad=options["skip_bad"],
            )
        except AppError as error:
            raise CommandError(error.message) from None
        for one in result.errors:
            self.stdout.write(str(one))
        hidden = result.bad - len({one.line for one in result.errors})
        if hidden > 0:
            self.stdout.write(f"… and {hidden:,} more bad rows")
        counts = f"{result.rows_read:,} rows read, {result.bad:,} bad"
        if result.bad and not options["skip_bad"]:
            raise CommandError(f"{counts}: nothing was imported. Correct the rows, or leave them out with --skip-bad.")
        done = f"{counts}, {result.created:,} tasks created, {result.updated:,} updated in {result.seconds:.1f} s"
        self.stdout.write(f"Dry run, nothing was kept: {done}" if options["dry_run"] else done)
