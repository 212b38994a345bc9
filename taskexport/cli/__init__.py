"""The command-line client, `python -m taskexport.cli`: the standard library alone, so that it runs where nothing is installed."""
