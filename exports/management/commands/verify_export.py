"""`manage.py verify_export FILE RECEIPT`: is this file, whole and unchanged, the one that was exported?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exports.services import receipts


class Command(BaseCommand):
    help = "Checks an exported file against its signed receipt: signature, size, SHA-256, rows and columns. Exits with 1 and says what is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("receipt", type=Path, help="the JSON of GET /api/v1/export-jobs/ID/receipt, or the .receipt.json beside a stored file")
        parser.add_argument("--key", help="the service's public key in base64, of /api/receipt-key; this service's own unless said")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            signed = json.loads(options["receipt"].read_text(encoding="utf-8"))
            problems = receipts.verify(options["file"], signed, options["key"] or receipts.public_key())
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from None
        except ValueError:
            raise CommandError(f"{options['receipt']}: this is no JSON in UTF-8.") from None
        if problems:
            raise CommandError("\n".join(problems))
        receipt = signed["receipt"]
        brought = receipt.get("uploaded")  # by an external runner, which alone knows as of when its rows are
        when = f"brought at {brought['at']}" if brought else f"exported at {receipt['snapshot_at']}"
        self.stdout.write(f"{receipt['file']}: {receipt['rows_written']:,} rows, {receipt['size']:,} bytes, as {when}.")
