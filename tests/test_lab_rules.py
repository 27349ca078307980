"""The lab's races: surfaces and their gradients, populations against trainings one by one, schedules, starts, normalisation."""

import math

import jax
import numpy as np
import pytest

import backlit as bl
from backlit import engine, initializers, optim
from backlit.engine import tree
from backlit.errors import DataError, SettingError
from backlit.lab import initialisation, normalisation, optimizers, racers, schedules
from backlit.lab import rows as lab_rows
from backlit.lab.optimizers_pictures import film
from backlit.lab.population import Batches, Population
from backlit.lab.race import best, race, reached
from backlit.lab.result import gif, plain
from backlit.lab.surfaces import SURFACES, surface
from backlit.report.canvas import DARK, LIGHT, png

NUMPY, XLA = engine.get("numpy"), engine.get("xla")
each_surface = pytest.mark.parametrize("where", SURFACES, ids=lambda s: s.name)
both = pytest.mark.parametrize("home", [NUMPY, XLA], ids=["numpy", "xla"])


# Surfaces


@each_surface
def test_slope_is_the_slope(where):
    rng = np.random.default_rng(0)
    (left, right), (low, high) = where.view
    for x, y in zip(rng.uniform(left, right, 30), rng.uniform(low, high, 30), strict=True):
        h = 1e-6
        dx = (where.value(x + h, y) - where.value(x - h, y)) / (2 * h)
        dy = (where.value(x, y + h) - where.value(x, y - h)) / (2 * h)
        np.testing.assert_allclose(where.slope(x, y), (dx, dy), rtol=1e-6, atol=1e-6)


@each_surface
def test_minimum_is_flat_and_lowest(where):
    flat = where.minimum or (0.0, 0.0)
    np.testing.assert_allclose(where.slope(*flat), (0.0, 0.0), atol=1e-12)
    (left, right), (low, high) = where.view
    x, y = np.meshgrid(np.linspace(left, right, 60), np.linspace(low, high, 60))
    below = where.value(x, y) < where.value(*flat) - 1e-12
    assert below.any() == (where.minimum is None)  # the saddle's flat point is no minimum


def test_surfaces_have_names():
    assert surface("beale").start == (1.0, 1.0)
    with pytest.raises(SettingError, match="unknown surface 'beal'; did you mean 'beale'"):
        surface("beal")


# One race


@both
def test_descent_on_the_bowl_is_its_closed_form(home):
    rates, t = np.array([0.1, 0.9]), np.arange(21)
    found = race(home, bl.SGD(), rates, 20)
    for k, lr in enumerate(rates):
        expected = np.stack([-7 * (1 - lr / 10) ** t, 2 * (1 - 2 * lr) ** t], axis=1)
        np.testing.assert_allclose(found.path[0, k], expected, rtol=1e-10)
        np.testing.assert_allclose(found.value[0, k], expected[:, 0] ** 2 / 20 + expected[:, 1] ** 2, rtol=1e-10)


def test_engines_race_alike():
    here, there = (race(home, bl.Adam(), (0.05, 0.3), 25) for home in (NUMPY, XLA))
    np.testing.assert_allclose(here.path, there.path, rtol=1e-8, atol=1e-10)
    assert here.path.shape == (5, 2, 26, 2)


def test_newton_solves_a_bowl_at_once_and_is_drawn_to_the_saddle():
    places = (surface("bowl"), surface("ravine"), surface("saddle"))
    found = race(NUMPY, optim.Newton(), (1.0,), 4, places)
    assert [reached(s, found.path[i, 0], found.value[i, 0], None) for i, s in enumerate(places)] == [1.0, 1.0, math.inf]
    np.testing.assert_allclose(found.path[2, 0, -1], (0.0, 0.0), atol=1e-8)


def test_best_rate_is_the_soonest():
    bowl = surface("bowl")
    found = race(NUMPY, bl.SGD(), (0.001, 0.1, 0.5, 2.0), 100, (bowl,))
    times = [reached(bowl, p, v) for p, v in zip(found.path[0], found.value[0], strict=True)]
    assert times[0] == math.inf  # too slow
    assert times[3] == math.inf  # |1 - 2 lr| > 1: it leaves
    assert times[2] == min(times)
    assert best(bowl, found, 0) == 2
    slow = race(NUMPY, bl.SGD(), (1e-4, 1e-3, 2.0), 10, (bowl,))
    assert best(bowl, slow, 0) == 1  # nobody arrives: who is lowest


def test_what_counts_as_reached():
    bowl, saddle = surface("bowl"), surface("saddle")
    path = np.zeros((4, 2))
    assert reached(bowl, path, np.array([6.45, 1.0, 1e-9, 1e-9])) == 2
    assert reached(bowl, path, np.array([6.45, 1e-9, 1e-9, np.nan])) == math.inf
    off = np.array([[-1.0, 0.001], [-0.5, 0.2], [-0.3, 0.9], [0.0, 1.1]])
    assert reached(saddle, off, off[:, 0]) == math.inf  # a leap of 0.7
    assert reached(saddle, off, off[:, 0], None) == 3
    walk = np.stack([np.linspace(-1, 0, 11), np.linspace(0.001, 1.2, 11)], axis=1)
    assert reached(saddle, walk, walk[:, 0]) == 9
    assert reached(saddle, path, path[:, 0], None) == math.inf


def test_every_rule_races_or_has_a_reason():
    rules = racers.all_rules()
    assert {"SGD", "Adam", "Lion", "LBFGS"} <= rules.keys()
    racing = racers.of_surfaces().keys() | racers.of_curvature().keys()
    assert rules.keys() - racing == rules.keys() & racers.FEW_NUMBERS.keys()
    trained = racers.of_population()
    assert {n for n, r in rules.items() if not r.asks} - trained.keys() == rules.keys() & racers.POPULATION.keys()
    assert list(racers.of_surfaces(quick=True)) == list(racers.SHOWN)
    assert all(racers.FEW_NUMBERS.values())


# Many things at once


@both
def test_vectorize_is_a_loop(home):
    xs = {"a": np.arange(6.0, dtype="f").reshape(3, 2), "b": (np.array([1.0, 2.0, 4.0], "f"), {})}
    made = home.vectorize(lambda x, k: {"y": x["a"] * x["b"][0] + k, "t": (x["a"].sum(), {})}, tree.map(home.asarray, xs),
                          home.asarray(np.array([10.0, 20.0, 30.0], "f")))  # fmt: skip
    assert engine.of(made["y"]) is home
    expected = np.array([[10, 11], [24, 26], [46, 50]], "f")
    np.testing.assert_array_equal(np.asarray(made["y"]), expected)
    np.testing.assert_array_equal(np.asarray(made["t"][0]), [1, 5, 9])
    assert made["t"][1] == {}


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)).astype("f"), rng.integers(0, 3, 50).astype("i")
    return Batches(x[:40], y[:40], rng.integers(0, 40, (7, 8)).astype("i"), x[40:], y[40:])


def members(rules, rates, in_turn=False):
    # No bias before batch normalisation: its gradient is rounding alone, and Adam would follow that.
    net = bl.Chain(bl.Dense(5, b=None), bl.BatchNorm(), bl.Tanh(), bl.Dense(3))
    return Population(net, bl.SoftmaxCrossEntropy(), rules, np.asarray(rates, "f"), in_turn)


def alone(population, batches, rule, lr):
    """The same training by itself, as one would write it."""
    _, params, state = population.net.init(bl.random.fold(bl.random.key(3), "init"), (6,))
    kept, curve = rule.init(params), []
    for t, rows in enumerate(batches.order):
        ctx = bl.Context(train=True)
        value, grads, state, _ = bl.gradient(
            population.net, population.loss, params, state, batches.x[rows], batches.y[rows], ctx
        )
        updates, kept = type(rule)(lr=lr).update(grads, kept, params, t)
        params = tree.map(lambda w, u: w + u, params, updates)
        curve.append(float(value))
    params = rule.kept(params, kept)
    y = population.net.forward(params, state, batches.held_x, bl.Context())[0]
    return curve, float(population.loss(y, batches.held_y)[0]), float((y.argmax(-1) == batches.held_y).mean())


@pytest.mark.parametrize(("home", "in_turn"), [(NUMPY, False), (NUMPY, True), (XLA, False), (XLA, True)])
def test_population_is_its_members(task, home, in_turn):
    rules, rates = (bl.Adam(), optim.ScheduleFreeSGD()), [[0.001, 0.1], [0.1, 1.0]]
    population = members(rules, rates, in_turn)
    found = population.train(home, population.starts((6,), seed=3), task)
    for r, rule in enumerate(rules):
        for k, lr in enumerate(rates[r]):
            curve, loss, accuracy = alone(population, task, rule, lr)
            np.testing.assert_allclose(found.curves[r, k], curve, rtol=2e-4, atol=2e-5)
            np.testing.assert_allclose(found.loss[r, k], loss, rtol=1e-3)
            assert found.accuracy[r, k] == pytest.approx(accuracy)


def test_a_member_that_diverges_harms_no_other(task):
    net = bl.Chain(bl.Dense(5), bl.ReLU(), bl.Dense(3))
    wild, calm = (
        Population(net, bl.SoftmaxCrossEntropy(), (bl.SGD(),), np.array(rates, "f"))
        for rates in ([[0.1, 1e30]], [[0.1]])
    )
    found, alike = (p.train(NUMPY, p.starts((6,), seed=0), task) for p in (wild, calm))
    assert np.isnan(found.loss[0, 1])
    assert found.accuracy[0, 1] == 0.0
    np.testing.assert_array_equal(found.curves[0, 0], alike.curves[0, 0])


def test_population_wants_rates_for_each_rule():
    with pytest.raises(SettingError, match=r"rates: expected one row of learning rates for each of the 2 rules"):
        members((bl.SGD(), bl.Adam()), [[0.1, 0.2]])


def test_decades_count_neighbours_of_the_best():
    rates = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    assert optimizers.decades([0.9, 0.1, 0.9, 0.95, 0.1], rates) == 2.0  # the first stands apart
    assert optimizers.decades([0.1, 0.1, 0.1, 0.1, 0.9], rates) == 1.0


def test_without_mnist_the_digits_of_scikit_learn(monkeypatch):
    def missing(self):
        raise DataError("mnist: not found")

    monkeypatch.setattr(lab_rows.Mnist, "load", missing)
    rows = lab_rows.digits(5000, 300, halved=True)
    assert rows.name.startswith("Digits")
    assert rows.x.shape == (1497, 8, 8, 1)
    assert (rows.x.max(), len(rows.held_x), len(rows.held_y)) == (1.0, 300, 300)
    order = rows.order(4, 32, seed=0)
    assert order.shape == (4, 32)
    assert all(len(set(step)) == 32 for step in order.tolist())


@pytest.fixture(scope="module")
def raced():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(racers, "SHOWN", ("SGD", "Adam"))
        patch.setattr(lab_rows, "_load", lambda: (bl.Digits(image=True).load(), "Digits", 16.0))
        rates, training_rates = (0.01, 0.1, 0.5, 1.0, 10.0), (0.003, 0.01, 0.03, 0.1, 0.3)
        yield optimizers.run(120, 20, rates, training_rates, quick=True, engine="numpy")


def test_the_race_is_told(raced):
    assert "Rosenbrock" in raced.text
    surfaces, nets = raced.numbers["surfaces"], raced.numbers["populations"]
    assert set(surfaces) == {s.name for s in SURFACES}
    bowl = surfaces["bowl"]["rules"]
    assert 0 < bowl["SGD"]["steps"] < 120
    assert bowl["SGD"]["final_distance"] < 0.2
    assert bowl["SGD"]["rates_diverged"] > 0  # some of the rates are far too large
    for net in nets.values():
        accuracy = net["rules"]["Adam"]["accuracy"]
        assert accuracy.shape == (len(net["rates"]),)
        assert net["rules"]["Adam"]["best_accuracy"] == accuracy.max()
    assert nets["dense"]["rules"]["Adam"]["best_accuracy"] > 0.5  # 20 updates; a guess has 0.1
    plain(raced.numbers)
    assert {len(line) for line in raced.table} == {8}


def test_the_race_is_drawn(raced):
    names = [picture.name for picture in raced.pictures]
    assert names == [
        "optimizers-rates",
        "optimizers-steps",
        "optimizers-loss",
        *(f"optimizers-{s.name}" for s in SURFACES),
    ]
    for picture, theme in zip(raced.pictures, [LIGHT, DARK] * 4, strict=True):
        assert picture.draw(theme).axes
        assert picture.alt
        assert picture.caption
    assert raced.films[0].name == "optimizers-race"
    way = {"path": np.array([[1.0, 1.0], [2.0, 0.5], [3.0, 0.5]]), "value": np.array([14.0, 1.0, 0.0]), "steps": 2.0}
    assert gif(film(surface("beale"), {"SGD": way}, frames=3)).startswith(b"GIF89a")


# Schedules


def test_every_schedule_has_an_example():
    assert schedules.missing() == set()


def test_a_schedule_without_example_is_missed(monkeypatch):
    some = schedules.examples(100)
    monkeypatch.setattr(schedules, "examples", lambda steps: {k: v for k, v in some.items() if k != "Cosine"})
    assert schedules.missing() == {"Cosine"}


def test_schedules_are_their_values():
    result = schedules.run(steps=200, quick=True)
    points, curves = result.numbers["updates"], result.numbers["schedules"]
    assert (points[0], points[-1], len(points)) == (0, 199, 50)
    for name, some in schedules.examples(200).items():
        for schedule, values in zip(some, curves[name].values(), strict=True):
            np.testing.assert_allclose(values, [float(schedule.over(200)(t)) for t in points])
            assert 0 <= values.min() <= values.max() <= 1
        assert next(iter(curves[name].values())).max() > 0.87  # 50 points may lie beside a top
    plots = result.pictures[0].draw(LIGHT).axes
    assert [plot.get_title(loc="left") for plot in plots] == list(curves)
    with pytest.raises(SettingError, match="steps: expected at least 10"):
        schedules.run(steps=9)


# Starts


@pytest.fixture(scope="module")
def started():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_rows, "_load", lambda: (bl.Digits(image=True).load(), "Digits", 16.0))
        yield initialisation.run(units=48, rows=96)


def test_starts_do_what_they_are_known_for(started):
    layers = started.numbers["layers"]
    he, small, large = (layers["ReLU"][name]["std"] for name in ("He", "std 0.01", "std 1"))
    assert 0.4 < he[-1] / he[0] < 2.5
    assert small[-1] < 1e-8 * small[0]  # each layer passes on about 0.01 sqrt(48 / 2) of it
    assert large[-1] > 1e5 * large[0]
    np.testing.assert_allclose(large[-1] / large[0], (48 / 2) ** 4.5, rtol=0.9)
    assert layers["tanh"]["std 1"]["saturated"][-1] > 0.4
    assert layers["tanh"]["Xavier"]["saturated"][-1] == 0.0
    assert layers["sigmoid"]["Xavier"]["delta_std"][0] < 1e-4 * layers["sigmoid"]["Xavier"]["delta_std"][-1]
    assert all(len(v) == 10 for kind in layers.values() for start in kind.values() for v in start.values())


def test_error_signals_are_those_of_autodiff():
    data = lab_rows.Rows("", *(np.random.default_rng(0).normal(size=(9, 4, 4, 1)).astype("f"), np.arange(9)) * 2)
    seen = initialisation.look(data, 3, 7, "tanh", "Xavier", seed=0)
    net = initialisation.net(3, 7, bl.Tanh(), initializers.Xavier())
    _, params, _ = net.init(bl.random.fold(bl.random.key(0), "init"), (4, 4, 1))

    def loss(a):  # from the second activation on
        a = jax.numpy.tanh(a @ params["dense_3"]["W"])
        logits = jax.nn.log_softmax(a @ params["dense_4"]["W"])
        return -logits[np.arange(9), np.arange(9)].sum()

    np.testing.assert_allclose(seen[1]["delta"], jax.grad(loss)(seen[1]["a"].astype("f")), rtol=1e-4, atol=1e-6)


def test_from_zeros_units_stay_equal(started):
    assert started.numbers["distinct_units"] == {"zeros": [[1, 1], [1, 1]], "Xavier": [[12, 12], [12, 12]]}


def test_starts_are_drawn(started):
    for picture in started.pictures[1:]:
        figure = picture.draw(LIGHT)
        assert all(plot.get_title(loc="left") for plot in figure.axes)
    assert png(figure).startswith(b"\x89PNG")  # the last: bars


# Normalisation


def test_normalisation_widens_what_trains():
    data = bl.Digits(image=True).load()
    x, y = data.x / 16, data.y
    rows = lab_rows.Rows("Digits", x[:400], y[:400], x[400:500], y[400:500])
    pairs = (0.1, 1.0), (0.1, 1.0)
    found = {
        kind: normalisation.train(kind, 3, 16, 60, *pairs, rows, seed=0, engine="numpy") for kind in ("none", "batch")
    }
    assert not found["none"]["trains"][0].any()
    assert found["batch"]["trains"][0].any()
    assert found["batch"]["share"] > found["none"]["share"]
    assert found["none"]["loss"].shape == (2, 2)
    assert found["none"]["share"] == found["none"]["trains"].mean()


def test_scales_move_weights_alone():
    population = Population(
        normalisation.net("batch", 1, 4), bl.SoftmaxCrossEntropy(), (bl.SGD(),), np.ones((1, 2), "f")
    )
    params, _ = population.starts((2, 2, 1), seed=0)
    made = tree.flatten(normalisation.scaled(params, np.array([1.0, 10.0], "f")))
    for path, w in tree.flatten(params).items():
        np.testing.assert_allclose(made[path][0], w[0])
        np.testing.assert_allclose(made[path][1], w[1] * (10 if path.endswith("W") else 1), rtol=1e-6)


def test_normalisation_is_drawn():
    from backlit.lab.normalisation_pictures import draw

    loss = np.array([[0.1, np.nan], [12.0, 2.3]])
    kinds = {kind: {"loss": loss, "trains": loss < 1, "share": 0.25} for kind in normalisation.KINDS}
    made = draw({"kinds": kinds, "scales": [0.1, 1.0], "rates": [0.01, 0.1]}, LIGHT)
    words = [text.get_text() for text in made.axes[0].texts]
    assert words == ["0.10", "–", ">10", "2.30"]
