"""Cleaning of tables: steps that are fitted on training rows and turn columns of any kind into numbers."""

from backlit.data.cleaning.base import Cleaner, State
from backlit.data.cleaning.categories import OneHot, Ordinal, Rare
from backlit.data.cleaning.dates import DateParts
from backlit.data.cleaning.drop import Drop, DropConstant, DropDuplicates, DropMissing
from backlit.data.cleaning.fitted import Cleaned
from backlit.data.cleaning.impute import Impute
from backlit.data.cleaning.incoming import as_table, schema
from backlit.data.cleaning.numbers import Numbers
from backlit.data.cleaning.outliers import ClipOutliers
from backlit.data.cleaning.scale import ScaleNumbers
from backlit.data.cleaning.steps import apply_cleaning, cleaned, cleaned_names, cleaning_notes, fit_cleaning, usual

__all__ = [
    "Cleaned",
    "Cleaner",
    "ClipOutliers",
    "DateParts",
    "Drop",
    "DropConstant",
    "DropDuplicates",
    "DropMissing",
    "Impute",
    "Numbers",
    "OneHot",
    "Ordinal",
    "Rare",
    "ScaleNumbers",
    "State",
    "apply_cleaning",
    "as_table",
    "cleaned",
    "cleaned_names",
    "cleaning_notes",
    "fit_cleaning",
    "schema",
    "usual",
]
