"""What can be exported: datasets with their declared columns, the built-in configs, and the spec that a job freezes."""

from exports.datasets.declared import ATTRIBUTES, Column, Dataset
from exports.datasets.known import CONFIGS, DATASETS, builtin_columns
from exports.datasets.spec import Spec

__all__ = ["ATTRIBUTES", "CONFIGS", "DATASETS", "Column", "Dataset", "Spec", "builtin_columns"]
