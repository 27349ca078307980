"""Every experiment that ships with the package: it reads, its net fits its data, and a step of it learns something."""

import numpy as np
import pytest

import backlit as bl
from backlit import config
from backlit.data import apply_all, fit_all

SHAPES = {
    "AirlinePassengers": ((24, 1), ()),
    "Cifar10": ((32, 32, 3), 10),
    "ExchangeRates": ((30, 8), (8,)),
    "FashionMnist": ((28, 28, 1), 10),
    "Mnist": ((28, 28, 1), 10),
    "Reconstruct": ((28, 28, 1), (784,)),
    "TinyShakespeare": ((128,), 65),
}
"""What rows and targets look like where the data is not in the package: a number of classes, or a shape."""

TABLES = {"adult": 2, "ames-housing": (), "california-housing": (), "titanic": 2, "wine-quality": ()}
"""Experiments on raw tables, by name: their targets. Their rows are numbers once they are cleaned."""


@pytest.fixture(params=sorted(config.named()))
def experiment(request):
    return config.load(request.param)


def rows(experiment, count):
    """x and y as the source would give them."""
    source = type(experiment.data).__name__
    if source not in SHAPES and experiment.name not in TABLES:
        data = experiment.data.load()
        return data.x[:count], data.y[:count], len(data.classes)
    shape, target = SHAPES.get(source) or ((11,), TABLES[experiment.name])
    rng = np.random.default_rng(0)
    if source == "TinyShakespeare":
        return rng.integers(target, size=(count, *shape)), rng.integers(target, size=(count, *shape)), target
    x = rng.normal(size=(count, *shape)).astype("f")
    if isinstance(target, int):
        return x, rng.integers(target, size=count), target
    return x, rng.normal(size=(count, *target)).astype("f"), 0


def test_its_net_fits_its_data(experiment):
    x, y, classes = rows(experiment, 4)
    x = apply_all(experiment.preprocessing, fit_all(experiment.preprocessing, x), x)
    out, _, _ = experiment.net.init(bl.random.key(0), x.shape[1:])
    if experiment.loss.task == "classification":
        assert out == (*y.shape[1:], classes)
    else:
        assert np.prod(out) == np.prod(y.shape[1:]), experiment.loss


def test_it_is_called_like_its_file_and_goes_through_another(experiment, tmp_path):
    assert experiment.name in config.named()
    config.write(experiment, tmp_path / "copy.yaml")
    assert config.load(tmp_path / "copy.yaml") == experiment


@pytest.mark.parametrize("name", ["lenet5", "seq2seq-dates", "gru-airline", "autoencoder"])
def test_its_gradient_points_downhill(name):
    experiment = config.load(name)
    x, y, _ = rows(experiment, 3)
    if experiment.loss.task == "regression":
        y = y.reshape(len(y), -1)
    x = np.asarray(apply_all(experiment.preprocessing, fit_all(experiment.preprocessing, x), x))
    _, params, state = experiment.net.init(bl.random.key(1), x.shape[1:])
    value, grads, *_ = bl.gradient(experiment.net, experiment.loss, params, state, x, y)
    size = sum(float((g**2).sum()) for g in bl.tree.leaves(grads))
    less = bl.tree.map(lambda w, g: w - 0.01 * value / size * g, params, grads)
    there = bl.gradient(experiment.net, experiment.loss, less, state, x, y)[0]
    assert there == pytest.approx(0.99 * value, rel=0.005)
