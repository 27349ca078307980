"""Sources, splits, preprocessing and batches."""

from backlit.data.augmentation import Augmenter, CutOut, Flip, Noise, RandomCrop, augment_all, check_augmentation
from backlit.data.batches import epoch_indices, epochs_indices, streams_indices
from backlit.data.cifar import Cifar10
from backlit.data.dataset import Dataset
from backlit.data.dates import Dates
from backlit.data.download import fetch
from backlit.data.embedded import BreastCancer, Diabetes, Digits, Iris, Polynomial, Wine
from backlit.data.files import find, read_idx, write_idx
from backlit.data.images import FashionMnist, Idx, Mnist
from backlit.data.mixing import CutMix, Mixing, Mixup
from backlit.data.preprocessing import (
    Center,
    Log,
    MinMax,
    Preprocessor,
    Scale,
    Standardize,
    apply_all,
    fit_all,
    invert_all,
)
from backlit.data.reconstruct import Reconstruct
from backlit.data.series import AirlinePassengers, ExchangeRates, Series
from backlit.data.source import Arrays, Source, load_dataset
from backlit.data.splits import Parts, Split
from backlit.data.tables import Csv, Npz
from backlit.data.tags import Tags, TagWindows
from backlit.data.text import Characters, TinyShakespeare
from backlit.data.vocabulary import Vocabulary

__all__ = [
    "AirlinePassengers",
    "Arrays",
    "Augmenter",
    "BreastCancer",
    "Center",
    "Characters",
    "Cifar10",
    "Csv",
    "CutMix",
    "CutOut",
    "Dataset",
    "Dates",
    "Diabetes",
    "Digits",
    "ExchangeRates",
    "FashionMnist",
    "Flip",
    "Idx",
    "Iris",
    "Log",
    "MinMax",
    "Mixing",
    "Mixup",
    "Mnist",
    "Noise",
    "Npz",
    "Parts",
    "Polynomial",
    "Preprocessor",
    "RandomCrop",
    "Reconstruct",
    "Scale",
    "Series",
    "Source",
    "Split",
    "Standardize",
    "TagWindows",
    "Tags",
    "TinyShakespeare",
    "Vocabulary",
    "Wine",
    "apply_all",
    "augment_all",
    "check_augmentation",
    "epoch_indices",
    "epochs_indices",
    "fetch",
    "find",
    "fit_all",
    "invert_all",
    "load_dataset",
    "read_idx",
    "streams_indices",
    "write_idx",
]
