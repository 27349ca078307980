"""Training rows changed at random, in another way every time they are seen, so that a net learns what does not matter.

Each augmenter is a pure function of a key and a batch, in the array-API standard: it runs inside the compiled step,
after the rows of a batch are taken and before the preprocessing. Rows to validate, test or predict stay as they are.
"""

from backlit.data.augmentation.affine import (
    Affine,
    RandomResizedCrop,
    Resampling,
    Rotate,
    Shear,
    Translate,
    Zoom,
)
from backlit.data.augmentation.base import Augmenter, augment_all, check_augmentation
from backlit.data.augmentation.colour import Brightness, Colour, ColourJitter, Contrast, Grey, Hue, Saturation
from backlit.data.augmentation.erasing import CutOut, RandomErasing
from backlit.data.augmentation.moving import Flip, Moving, RandomCrop
from backlit.data.augmentation.noise import Noise
from backlit.data.augmentation.policy import Policy, RandAugment, TrivialAugment
from backlit.data.augmentation.sequences import Jitter, TimeMasking, TokenDropping
from backlit.data.augmentation.tables import SwapNoise

__all__ = [
    "Affine",
    "Augmenter",
    "Brightness",
    "Colour",
    "ColourJitter",
    "Contrast",
    "CutOut",
    "Flip",
    "Grey",
    "Hue",
    "Jitter",
    "Moving",
    "Noise",
    "Policy",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "RandomResizedCrop",
    "Resampling",
    "Rotate",
    "Saturation",
    "Shear",
    "SwapNoise",
    "TimeMasking",
    "TokenDropping",
    "Translate",
    "TrivialAugment",
    "Zoom",
    "augment_all",
    "check_augmentation",
]
