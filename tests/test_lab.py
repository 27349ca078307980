"""The lab: what it measures is held against closed forms and independent oracles, what it writes is looked into."""

import inspect
import itertools
import json
from importlib import import_module
from io import BytesIO

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import backlit as bl
from backlit import engine as engines
from backlit import lab
from backlit.cli import main
from backlit.engine import tree
from backlit.errors import SettingError, ShapeError
from backlit.lab import batch_size, landscape, regularisation, saddle
from backlit.lab.lanczos import lanczos
from backlit.lab.problem import Problem, digits
from backlit.lab.result import Film, Result, gif
from backlit.optim import Objective
from backlit.optim.flat import ravel
from backlit.report.canvas import DARK, LIGHT, Picture, axes, figure
from backlit.training.setup import setup

NUMPY = engines.get("numpy")
rng = np.random.default_rng(0)


def symmetric(size, values=None):
    """A matrix with these eigenvalues, or normal ones, in random directions."""
    q = np.linalg.qr(rng.normal(size=(size, size)))[0]
    return (q * (rng.normal(size=size) if values is None else np.asarray(values))) @ q.T


@pytest.fixture(scope="module")
def small():
    """24 rows of digits for a net of 64-3-10."""
    return digits(units=3, rows=24)


# Lanczos


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_lanczos_to_the_end_gives_all_eigenvalues(size):
    a = symmetric(size)
    found = lanczos(lambda v: a @ v, size, steps=size)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(a), atol=1e-10)
    np.testing.assert_allclose(a @ found.vectors, found.vectors * found.values, atol=1e-8)


def test_lanczos_finds_both_ends_first():
    """Outliers at both ends of 300 eigenvalues, as the Hessian of a net has them, after 30 products."""
    values = np.concatenate([[-3.0, -1.5], rng.uniform(-0.1, 0.2, size=295), [2.0, 5.0, 9.0]])
    a = symmetric(300, values)
    found = lanczos(lambda v: a @ v, 300, steps=30)
    np.testing.assert_allclose(found.values[[0, 1, -3, -2, -1]], [-3.0, -1.5, 2.0, 5.0, 9.0], atol=1e-8)
    assert (found.smallest, found.largest) == (found.values[0], found.values[-1])


def test_an_eigenvalue_lies_within_the_error_that_is_given():
    a = symmetric(120)
    found = lanczos(lambda v: a @ v, 120, steps=25)
    true = np.linalg.eigvalsh(a)
    for value, vector, error in zip(found.values, found.vectors.T, found.error, strict=True):
        assert np.abs(true - value).min() <= error + 1e-10
        assert np.linalg.norm(a @ vector - value * vector) == pytest.approx(error, abs=1e-9)


def test_no_ghosts():
    """Without orthogonalisation against all vectors the huge eigenvalue would be found again and again."""
    a = symmetric(100, [1e6, *rng.uniform(1, 2, size=99)])
    found = lanczos(lambda v: a @ v, 100, steps=80)
    assert (found.values > 1e3).sum() == 1
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(len(found.values)), atol=1e-8)


def test_what_repeats_is_found_once():
    assert lanczos(lambda v: 2.0 * v, 10).values.round(9).tolist() == [2.0]
    assert lanczos(lambda v: 0.0 * v, 10).values.tolist() == [0.0]
    twice = lanczos(lambda v: np.repeat([1.0, 4.0], 5) * v, 10)
    np.testing.assert_allclose(twice.values, [1.0, 4.0], atol=1e-9)


def test_lanczos_needs_a_size():
    with pytest.raises(ShapeError, match="expected at least one number and one step, got size 0 and steps 60"):
        lanczos(lambda v: v, 0)


def test_spectrum_of_a_net_is_that_of_its_exact_hessian():
    """The Hessian by JAX from a loss written here, without any of our layers."""
    x, labels = rng.normal(size=(20, 4)), rng.integers(0, 3, size=20)
    problem = Problem(bl.Chain(bl.Dense(2), bl.Tanh(), bl.Dense(3)), bl.SoftmaxCrossEntropy(), x, labels, x, labels)
    function = problem.function()
    w = rng.normal(size=function.size)

    def loss(w):
        W, b, V, c = jnp.reshape(w[:8], (4, 2)), w[8:10], jnp.reshape(w[10:16], (2, 3)), w[16:]
        y = jax.nn.log_softmax(jnp.tanh(x @ W + b) @ V + c)
        return -jnp.mean(y[jnp.arange(20), labels])

    with engines.get("xla").double():
        exact = np.asarray(jax.jit(jax.hessian(loss))(jnp.asarray(w)))
    found = lanczos(function.curvature(w), function.size, steps=function.size)
    true = np.linalg.eigvalsh(exact)
    assert found.smallest == pytest.approx(true[0], abs=1e-7)
    assert found.largest == pytest.approx(true[-1], abs=1e-7)
    assert true[0] < -0.01  # there is something negative to find


# The problem and its descent


def test_descent_is_gradient_descent(small):
    """Path and losses of two epochs, against the same written out."""
    order = small.order(8, 2, seed=1)
    path = small.descender(bl.SGD(), NUMPY)(small.start(3), order, 0.5)
    params, found = small.start(3), []
    for epoch in order:
        for rows in epoch:
            grads = bl.gradient(small.net, small.loss, params, small.state, small.x[rows], small.y[rows])[1]
            params = tree.map(lambda w, g: w - np.float32(0.5) * g, params, grads)
        found.append(ravel(params)[0])
    np.testing.assert_allclose(path.params, found, rtol=1e-5, atol=1e-6)
    function = small.function()
    np.testing.assert_allclose(path.train, [function.value(w.astype(float)) for w in path.params], rtol=1e-5)
    np.testing.assert_allclose(path.held_out, [function.held_out(w.astype(float)) for w in path.params], rtol=1e-5)


def test_every_row_once_an_epoch(small):
    order = small.order(8, 3, seed=0, first=2)
    assert [sorted(epoch.reshape(-1).tolist()) for epoch in order] == [list(range(24))] * 3
    assert np.array_equal(small.order(8, 5, seed=0)[2:], order)


def test_gradient_of_a_vector(small):
    function = small.function()
    w = ravel(tree.cast(small.start(0), np.float64))[0]
    v = rng.normal(size=function.size)
    slope = (function.value(w + 1e-6 * v) - function.value(w - 1e-6 * v)) / 2e-6
    assert function.gradient(w) @ v == pytest.approx(slope, rel=1e-6)
    assert np.mean([function.rows([i]).value(w) for i in range(24)]) == pytest.approx(function.value(w))


# Batch size


def test_expected_noise_of_batches_without_replacement():
    """tr(S) / B (N - B) / N, against the mean over all batches there are."""
    rows = rng.normal(size=(6, 4))
    mean, spread = rows.mean(axis=0), rows.var(axis=0, ddof=1).sum()
    for b in (1, 2, 3, 5):
        all_of_them = [rows[list(c)].mean(axis=0) - mean for c in itertools.combinations(range(6), b)]
        assert np.mean([d @ d for d in all_of_them]) == pytest.approx(spread / b * (6 - b) / 6)
        assert batch_size.variance(rows, mean, b, 2000) == pytest.approx(spread / b * (6 - b) / 6, rel=0.1)


def test_gradients_row_by_row(small):
    function = small.function()
    w = ravel(tree.cast(small.start(0), np.float64))[0]
    np.testing.assert_allclose(batch_size.gradients(small, function, w).mean(axis=0), function.gradient(w), atol=1e-12)


# Landscape


def test_random_directions_are_as_long_as_the_weights(small):
    """Column by column, biases left out."""
    function = small.function()
    w = rng.normal(size=function.size)
    net = tree.flatten(function.back(w))
    for direction in landscape.normalised(function, w, seed=0):
        for path, d in tree.flatten(function.back(direction)).items():
            if path.endswith(".b"):
                assert not d.any()
            else:
                np.testing.assert_allclose(np.linalg.norm(d, axis=0), np.linalg.norm(net[path], axis=0))


def test_principal_directions_hold_a_path_that_lies_in_a_plane():
    plane = np.linalg.qr(rng.normal(size=(30, 2)))[0].T
    way = rng.normal(size=(12, 2)) @ plane + rng.normal(size=30)
    directions, shares = landscape.principal(way)
    assert shares.sum() == pytest.approx(1.0)
    seen = (way - way[-1]) @ directions.T @ directions
    np.testing.assert_allclose(seen, way - way[-1], atol=1e-10)


def test_surface_is_the_loss_where_it_says(small):
    function = small.function()
    way = np.stack([rng.normal(size=function.size) for _ in range(4)])
    directions = rng.normal(size=(2, function.size))
    found = landscape.surface(function, way, directions, points=5, reach=0.5)
    assert found["loss"][2, 2] == pytest.approx(function.value(way[-1]))
    assert found["loss"][0, 3] == pytest.approx(function.value(way[-1] + 0.25 * directions[0] - 0.5 * directions[1]))
    # The path's point is the nearest in the plane: what is left stands upright on it.
    left = way[0] - way[-1] - found["path"][0] @ directions
    np.testing.assert_allclose(directions @ left, 0.0, atol=1e-9)
    around = landscape.surface(function, way, directions, points=3)
    assert around["a"][0] < around["path"][:, 0].min() < around["path"][:, 0].max() < around["a"][-1]


# Saddle


def test_curvature_at_the_saddle_is_that_of_theory():
    """Plus and minus each singular value of the covariance, once for a hidden unit; 1 for each bias; and zeros."""
    x, target = saddle.data()
    params, state = saddle.origin(target)
    hessian = Objective.of(saddle.NET, saddle.LOSS, state, x, target).hessian(params)
    sizes = np.linalg.svd(x.T @ (target - target.mean(axis=0)) / len(x), compute_uv=False)
    expected = np.zeros(len(hessian))
    expected[:12] = [*np.repeat([sizes[0], sizes[1]], 3), *np.repeat([-sizes[0], -sizes[1]], 3)]
    expected[12:15] = 1.0
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), np.sort(expected), atol=1e-7)


def test_without_noise_nothing_leaves_the_saddle():
    still = saddle.descend(0.0, 150)
    np.testing.assert_allclose(still, still[0], rtol=1e-12)
    batches = saddle.descend(0.0, 150, batch=16)
    assert saddle.left_after(batches) is None


@pytest.mark.parametrize("noise", [1e-8, 1e-3])
def test_noise_leaves_the_saddle_when_predicted(noise):
    x, target = saddle.data()
    losses = [saddle.descend(noise, 260, seed) for seed in (0, 1)]
    expected = saddle.predicted(noise, saddle.expected_eigenvalue(x, target), losses[0][0])
    for path in losses:
        assert saddle.left_after(path) == pytest.approx(expected, abs=20)


# Regularisation


def test_labels_that_are_wrong():
    right, _ = regularisation.data(300, 0.0, seed=0)
    wrong, held_out = regularisation.data(300, 0.5, seed=0)
    assert np.array_equal(right.x, wrong.x)
    assert 0.35 < (right.y != wrong.y).mean() < 0.55  # half are drawn, a tenth of them the right one
    assert len(held_out) == 1497


def test_a_watched_training_makes_the_updates_of_one_that_is_not():
    """So that the last weights of the one belong to the curves of the other."""
    rows, held_out = (part.take(range(40)) for part in regularisation.data(300, 0.1, seed=0))
    plain = bl.Experiment(
        bl.Digits(), regularisation.net(4), "SoftmaxCrossEntropy", batch_size=20, epochs=3, engine="numpy",
        split=bl.Split(test=0.0),
    )  # fmt: skip
    for one in regularisation.remedies(plain, 4).values():
        found = regularisation.measured(one, rows, held_out)
        if one.stopping is None:
            assert found["held_out"] == pytest.approx(found["curves"]["held_out"][-1], rel=1e-4)
        assert found["gap"] == pytest.approx(found["held_out"] - found["train"])
    assert setup(plain, rows).parts.train.x.shape == (34, 64)


# What comes out


@pytest.fixture(scope="module", params=["batch-size", "landscape", "regularisation"])
def result(request):
    return lab.run(request.param, quick=True)


def test_a_lab_measures_says_and_draws(result, tmp_path):
    files = result.save(tmp_path)
    assert [file.name for file in files] == [*(f"{p.name}.png" for p in result.pictures), "numbers.json"]
    assert json.loads(files[-1].read_text()).keys() == result.numbers.keys()
    for file in files[:-1]:
        image = np.asarray(Image.open(file).convert("RGB"))
        assert (image != image[0, 0]).any(axis=2).mean() > 0.02
    for picture in result.pictures:
        assert picture.name.startswith(result.name)
        assert picture.alt.endswith(".")
    assert all(plot.get_title(loc="left") for plot in result.pictures[0].draw(DARK).axes)
    assert "nan" not in result.text
    assert len(result.table[0]) == len(result.table[-1])


def test_every_lab_is_there():
    assert lab.run.__doc__
    for name in lab.LABS:
        module = import_module(f"backlit.lab.{name.replace('-', '_')}")
        assert inspect.signature(module.run).parameters["quick"].default is False
        assert getattr(lab, name.replace("-", "_")) is module
    with pytest.raises(SettingError, match="unknown lab 'landscap'; did you mean 'landscape'"):
        lab.run("landscap")
    with pytest.raises(AttributeError, match=r"module 'backlit\.lab' has no attribute 'nothing'"):
        lab.nothing  # noqa: B018


def drawn(theme):
    made = figure(theme, 2.0, 1.5)
    axes(made, theme, "Line", "x", "y").plot([0, 1], [0, 1])
    return made


TINY = Result(
    "tiny", "A tiny one", {"a": 0.25, "b": {"c": np.array([1.0, np.nan])}}, "A quarter.",
    (Picture("line", "A line.", "", drawn),),
    (Film("grey", "Grey.", "", lambda theme: (Image.new("RGB", (8, 6), (g, g, g)) for g in (0, 99, 200)), 0.2),),
)  # fmt: skip


def test_result_is_written(tmp_path):
    files = TINY.save(tmp_path / "new" / "place")
    assert [file.name for file in files] == ["line.png", "grey.gif", "numbers.json"]
    assert json.loads(files[-1].read_text()) == {"a": 0.25, "b": {"c": [1.0, None]}}
    dark = TINY.save(tmp_path / "dark", DARK)
    assert dark[0].read_bytes() != files[0].read_bytes()
    assert str(TINY) == "A tiny one\n\nA quarter."


def test_film_keeps_its_frames_and_their_time():
    film = Image.open(BytesIO(gif(TINY.films[0])))
    assert film.n_frames == 3
    greys, times = [], []
    for i in range(3):
        film.seek(i)
        greys.append(film.convert("RGB").getpixel((3, 3))[0])
        times.append(film.info["duration"])
    assert np.allclose(greys, [0, 99, 200], atol=3)
    assert times == [200, 200, 2000]
    assert film.info["loop"] == 0
    figures = Film("line", "A line.", "", lambda theme: [drawn(theme), drawn(theme)])
    assert Image.open(BytesIO(gif(figures, LIGHT))).size == (360, 270)


# The command


def test_command_lists_what_there_is(capsys):
    assert main(["lab"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(lab.LABS)
    assert main(["lab", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labs"] == lab.LABS


def test_command_runs_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(lab, "run", lambda name, quick: asked.append((name, quick)) or TINY)
    assert main(["lab", "landscape", "--quick"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("A tiny one\n\nA quarter.\n")
    assert "0.25" in out
    assert "written: lab/landscape/line.png" in err
    assert main(["lab", "landscape", "--json", "--out", "there"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == ["there/line.png", "there/grey.gif", "there/numbers.json"]
    assert asked == [("landscape", True), ("landscape", False)]


def test_command_knows_no_other(capsys):
    assert main(["lab", "landscap"]) == 2
    assert capsys.readouterr().err == "error: unknown lab 'landscap'; did you mean 'landscape'?\n"
