"""What is measured on the training part and then applied to every part, so that no test row has a say.

fit(x) -> state        on the training rows, in float64, chunk by chunk
apply(state, x) -> x   pure, in the array-API standard: it runs inside the compiled step
invert(state, x) -> x  the way back, to show rows as they came
"""

from backlit.data.preprocessing.affine import Affine, Center, MinMax, RobustScale, Standardize
from backlit.data.preprocessing.base import Preprocessor, State, floating
from backlit.data.preprocessing.pointwise import Log, Scale
from backlit.data.preprocessing.power import Power
from backlit.data.preprocessing.rows import UnitNorm
from backlit.data.preprocessing.sequence import apply_all, fit_all, invert_all
from backlit.data.preprocessing.whitening import PCA, Whiten

__all__ = [
    "PCA",
    "Affine",
    "Center",
    "Log",
    "MinMax",
    "Power",
    "Preprocessor",
    "RobustScale",
    "Scale",
    "Standardize",
    "State",
    "UnitNorm",
    "Whiten",
    "apply_all",
    "fit_all",
    "floating",
    "invert_all",
]
