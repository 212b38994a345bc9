"""Imports: the files that people send, and the workers that make tasks of them."""
