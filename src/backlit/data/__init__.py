"""Sources, splits, preprocessing and batches."""

from backlit.data.batches import epoch_indices, epochs_indices
from backlit.data.dataset import Dataset
from backlit.data.download import fetch
from backlit.data.embedded import BreastCancer, Diabetes, Digits, Iris, Polynomial, Wine
from backlit.data.files import find, read_idx, write_idx
from backlit.data.images import FashionMnist, Idx, Mnist
from backlit.data.preprocessing import (
    Center,
    MinMax,
    Preprocessor,
    Scale,
    Standardize,
    apply_all,
    fit_all,
    invert_all,
)
from backlit.data.source import Arrays, Source, load_dataset
from backlit.data.splits import Parts, Split
from backlit.data.tables import Csv, Npz

__all__ = [
    "Arrays",
    "BreastCancer",
    "Center",
    "Csv",
    "Dataset",
    "Diabetes",
    "Digits",
    "FashionMnist",
    "Idx",
    "Iris",
    "MinMax",
    "Mnist",
    "Npz",
    "Parts",
    "Polynomial",
    "Preprocessor",
    "Scale",
    "Source",
    "Split",
    "Standardize",
    "Wine",
    "apply_all",
    "epoch_indices",
    "epochs_indices",
    "fetch",
    "find",
    "fit_all",
    "invert_all",
    "load_dataset",
    "read_idx",
    "write_idx",
]
