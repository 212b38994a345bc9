"""`python -m taskexport.cli`."""

import sys

from taskexport.cli.commands import main

sys.exit(main(sys.argv[1:]))
