"""Which rows: one tree of conditions over declared columns, checked and frozen, compiled to a query, said in words.

A tree is `{"all": [...]}`, `{"any": [...]}`, `{"not": {...}}` or a leaf `{"column", "op", "value"}`.
"""

from exports.filters.checking import checked
from exports.filters.compiling import condition, order
from exports.filters.sorting import MOST_SORTS, checked_sort, sort_in_words
from exports.filters.words import column_in_words, in_words

__all__ = ["MOST_SORTS", "checked", "checked_sort", "column_in_words", "condition", "in_words", "order", "sort_in_words"]
