"""The lab: the classic experiments of a course on neural networks. Each measures, says what is to be seen, and draws.

    backlit lab                     what there is
    backlit lab batch-size          run one: text and numbers in the terminal, pictures in lab/batch-size

    >>> import backlit as bl
    >>> list(bl.lab.LABS)[:3]
    ['optimizers', 'schedules', 'initialisation']

An experiment `batch-size` is the function `run` of the module `backlit.lab.batch_size`; its arguments have good defaults, and
`quick=True` makes it small enough to try out.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backlit.errors import unknown

if TYPE_CHECKING:
    from backlit.lab.result import Result

LABS = {
    "optimizers": "a race of the update rules down five surfaces; which of them forgive a wrong learning rate",
    "schedules": "how each schedule moves the learning rate",
    "initialisation": "what the size of the first weights does to activations and gradients, layer by layer",
    "normalisation": "which scales and learning rates train, with and without normalisation",
    "batch-size": "gradient noise, how the learning rate grows with the batch, sharp and flat minima",
    "landscape": "the loss as a surface with the path down it, curvature on the way, escape from a saddle",
    "regularisation": "weights and loss curves under L1, L2, decay, dropout, max-norm and early stopping",
}
"""The experiments by name, with what each shows."""


def run(name: str, quick: bool = False) -> "Result":
    """Run the experiment `name` with its defaults; SettingError names the nearest one where there is none."""
    if name not in LABS:
        raise unknown("lab", name, LABS)
    found: Result = _module(name).run(quick=quick)
    return found


def _module(name: str) -> Any:
    return import_module(f"backlit.lab.{name.replace('-', '_')}")


def __getattr__(name: str) -> Any:
    if name.replace("_", "-") in LABS:
        return _module(name)
    raise AttributeError(f"module 'backlit.lab' has no attribute {name!r}")
