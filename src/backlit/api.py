"""`backlit.train`: the whole library in one call."""

from pathlib import Path
from typing import Any

from backlit import config
from backlit.config import Experiment
from backlit.data import Arrays, Dataset, Source, load_dataset
from backlit.errors import SettingError
from backlit.losses import SoftmaxCrossEntropy, SquaredError
from backlit.protocol import Loss
from backlit.settings import build
from backlit.training.events import Listener, silent
from backlit.training.loop import fit
from backlit.training.run import Run


def train(
    net: Any,
    data: Any = None,
    loss: Loss | str | dict[str, Any] | None = None,
    *,
    directory: str | Path | None = None,
    resume: bool = False,
    listener: Listener = silent,
    **settings: Any,
) -> Run:
    """Train a network on data and return the run.

    net        a layer, a list of layers, an `Experiment`, or the name or file of one (then nothing else is needed)
    data       a name ("digits"), a `Source`, a `Dataset`, a pair (x, y) of arrays, or data of another library
    loss       by default SoftmaxCrossEntropy for classes, SquaredError for numbers
    directory  where to store the run; without it nothing is written and nothing can be resumed
    settings   any other field of `Experiment`: optimizer, epochs, batch_size, preprocessing, seed, ...

    Errors: SettingError, ShapeError or DataError before training starts; NonFiniteError while it runs.

    >>> import backlit as bl
    >>> run = bl.train(bl.Chain(bl.Dense(8), bl.Tanh(), bl.Dense(3)), "iris", epochs=2, engine="numpy")
    >>> len(run.history), sorted(run.result["test"])
    (2, ['accuracy', 'loss'])
    """
    if isinstance(net, Experiment | str | Path):
        if data is not None or loss is not None or settings:
            raise SettingError([("train", "an experiment says everything itself; change it with dataclasses.replace")])
        experiment = net if isinstance(net, Experiment) else config.load(net)
        return fit(experiment, directory=directory, resume=resume, listener=listener)
    if data is None:
        raise SettingError([("data", "expected a name, a Source, a Dataset or a pair (x, y), got None")])
    named = isinstance(data, Source | str) or (isinstance(data, dict) and "type" in data)
    source = build(Source, data) if named else None  # type: ignore[type-abstract]
    dataset: Dataset = source.load() if source else load_dataset(data)
    if loss is None:
        loss = SoftmaxCrossEntropy() if dataset.classes else SquaredError()
    source = source or Arrays(
        dataset.x, dataset.y, dataset.classes, dataset.features, vocabulary=dataset.vocabulary, mask=dataset.mask
    )
    chosen: Loss = build(Loss, loss)  # type: ignore[type-abstract]
    experiment = Experiment(data=source, net=net, loss=chosen, **settings)
    return fit(experiment, dataset, directory, resume, listener)
