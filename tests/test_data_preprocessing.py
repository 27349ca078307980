"""Preprocessing: right numbers, the same on every engine, and no word from the test rows."""

import tracemalloc
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

import array_api_strict
import numpy as np
import pytest
import scipy.stats
import sklearn.decomposition
import sklearn.preprocessing as theirs

from backlit.api import train
from backlit.config import Experiment
from backlit.data import (
    Center,
    Dataset,
    Log,
    MinMax,
    Preprocessor,
    Scale,
    Split,
    Standardize,
    apply_all,
    fit_all,
    invert_all,
    load_dataset,
    statistics,
)
from backlit.data.preprocessing import PCA, Power, RobustScale, UnitNorm, Whiten
from backlit.data.preprocessing.exponents import exponents, phi
from backlit.data.preprocessing.quantiles import quantiles
from backlit.data.rows import Held
from backlit.data.statistics import CHUNK, Chunks, Moments, covariance, measured, moments
from backlit.engine import get, random
from backlit.errors import BacklitError, DataError, SettingError, ShapeError
from backlit.layers import Chain, Dense, Flatten
from backlit.losses import SoftmaxCrossEntropy, SquaredError
from backlit.settings import build, known, plain
from backlit.training.arrays import flat
from backlit.training.run import _fitted, open_run
from backlit.training.setup import setup


@dataclass(frozen=True)
class Row:
    """A preprocessor; whether invert gives rows back ("all", their part along the directions kept, or "none")."""

    p: Preprocessor
    back: str = "all"
    shape: tuple[int, ...] | None = None

    @property
    def id(self) -> str:
        return f"{type(self.p).__name__}-{'-'.join(map(str, self.p.to_plain().values()))}"


EVERY = [
    Row(Center()),
    Row(Center(axis="channel")),
    Row(Standardize()),
    Row(Standardize(axis="channel")),
    Row(Standardize(axis="all")),
    Row(MinMax(-1.0, 2.0)),
    Row(MinMax(axis="all")),
    Row(RobustScale()),
    Row(RobustScale(0.1, 0.8, axis="channel")),
    Row(RobustScale(axis="all")),
    Row(Scale()),
    Row(Scale(0.5)),
    Row(Log(1.0)),
    Row(Power()),
    Row(Power(axis="channel")),
    Row(Power("box-cox")),
    Row(Power("box-cox", axis="all")),
    Row(UnitNorm(), "none"),
    Row(UnitNorm("l1"), "none"),
    Row(UnitNorm("max"), "none"),
    Row(PCA(), "all", (6,)),
    Row(PCA(solver="svd"), "all", (6,)),
    Row(PCA(components=3), "part", (3,)),
    Row(PCA(variance=0.9, solver="svd"), "part", (4,)),
    Row(Whiten(epsilon=1.0)),
    Row(Whiten(components=3, solver="svd"), "part"),
    Row(Whiten(kind="pca", epsilon=0.0, components=5), "all", (5,)),
    Row(Whiten(kind="pca", variance=0.5), "part", (2,)),
]
MEASURING = [row for row in EVERY if not isinstance(row.p, Scale | Log | UnitNorm)]
INVERTIBLE = [row for row in EVERY if row.back != "none"]
SHAPE = (6, 4, 3, 2)
every = pytest.mark.parametrize("row", EVERY)


def images(dtype: type = np.float32, rows: int = 6) -> np.ndarray:
    """Above 0, as box-cox asks for."""
    return (1 + random.uniform(random.key(1), (rows, *SHAPE[1:])) * 254).astype(dtype)


def table(rows: int = 200) -> np.ndarray:
    """Columns of several kinds: with a long tail, of both signs, below 0, far from 0, integers."""
    rng = np.random.default_rng(0)
    columns = [
        rng.lognormal(0, 1, rows),
        rng.gamma(2, 3, rows) - 2,
        -rng.lognormal(1, 0.5, rows),
        rng.normal(1e4, 10, rows),
        rng.poisson(3, rows),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def size(row: Row, y: np.ndarray) -> float:
    """What rounding is to be compared with: sums over a whole row are as exact as their largest numbers."""
    return float(np.abs(y).max()) if isinstance(row.p, PCA | Whiten) else 1.0


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_every_preprocessor_is_in_the_table():
    assert {type(row.p) for row in EVERY} == set(known(Preprocessor).values())


@every
def test_settings_go_to_plain_data_and_back(row):
    assert build(Preprocessor, plain(row.p)) == row.p


@every
def test_no_test_row_changes_what_was_fitted(row):
    """Through the setup of a training: no row of the test or the validation part, alone or with the others, has a say."""
    data = Dataset(images(rows=12), np.arange(12, dtype=np.int32) % 2, ("no", "yes"))
    experiment = Experiment("iris", Chain(Flatten(), Dense(2)), SoftmaxCrossEntropy(), preprocessing=(row.p,),
                            split=Split(validation=0.25, test=0.25), batch_size=2)  # fmt: skip
    before = setup(experiment, data)
    places = Split(validation=0.25, test=0.25).apply(replace(data, x=np.arange(12.0)[:, None]), experiment.seed)
    held_out = [*places.validation.x[:, 0].astype(int), *places.test.x[:, 0].astype(int)]
    assert len(held_out) == 6
    for changed in [[place] for place in held_out] + [held_out]:
        x = data.x.copy()
        x[changed] = x[changed] ** 2 + 1000
        after = setup(experiment, replace(data, x=x))
        assert same(after.prepared[0], before.prepared[0])
        assert not np.array_equal(after.parts.test.x, before.parts.test.x) or changed != held_out
    # And training rows do: the comparison above can fail.
    x = data.x.copy()
    x[places.train.x[:, 0].astype(int)] **= 2
    assert before.prepared[0] == {} or not same(setup(experiment, replace(data, x=x)).prepared[0], before.prepared[0])


@pytest.mark.parametrize("p", [Standardize(), RobustScale(), Power(), MinMax()])
def test_no_target_of_a_test_row_changes_what_was_fitted(p):
    data = Dataset(images(rows=12), images(rows=12)[:, 0, 0, 0])
    experiment = Experiment("iris", Chain(Flatten(), Dense(1)), SquaredError(), target_preprocessing=(p,),
                            split=Split(validation=0.25, test=0.25), batch_size=2)  # fmt: skip
    before = setup(experiment, data)
    held_out = np.isin(data.y, np.concatenate([before.parts.validation.y, before.parts.test.y]))
    assert held_out.sum() == 6
    after = setup(experiment, replace(data, y=np.where(held_out, data.y**2, data.y)))
    assert same(after.target_prepared[0], before.target_prepared[0])
    moved = setup(experiment, replace(data, y=np.where(held_out, data.y, data.y**2)))
    assert not same(moved.target_prepared[0], before.target_prepared[0])


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@every
def test_apply_and_invert_undo_each_other(row, dtype):
    x, p = images(dtype), row.p
    state = p.fit(x)
    y = p.apply(state, x)
    assert (y.dtype, y.shape) == (np.float32, SHAPE if row.shape is None else (6, *row.shape))
    assert all(leaf.dtype == np.float32 for leaf in state.values())
    if row.back == "none":
        with pytest.raises(BacklitError, match="cannot be put back"):
            p.invert(state, y)
        return
    back = p.invert(state, y)
    assert back.shape == SHAPE
    np.testing.assert_allclose(p.apply(state, back), y, rtol=1e-4, atol=1e-5 * size(row, y))
    if row.back == "all":
        np.testing.assert_allclose(back, x, rtol=1e-4, atol=1e-3)
    else:
        assert 1 < np.abs(back - x).max() < 255


@every
def test_engines_agree_also_when_compiled(row):
    xla, x, p = get("xla"), images(np.uint8), row.p
    state = p.fit(x)
    y = p.apply(state, x)

    def both(state, x):
        y = p.apply(state, x)
        return y, p.invert(state, y) if row.back != "none" else y

    compiled, back = xla.compile(both)(state, xla.asarray(x))
    np.testing.assert_allclose(np.asarray(compiled), y, rtol=1e-5, atol=1e-5 * size(row, y))
    if row.back != "none":
        np.testing.assert_allclose(np.asarray(back), p.invert(state, y), rtol=1e-4, atol=1e-3)


@every
def test_only_the_array_api_standard_is_used(row):
    p, state = row.p, row.p.fit(images())
    strict = {name: array_api_strict.asarray(leaf) for name, leaf in state.items()}
    y = p.apply(strict, array_api_strict.asarray(images(np.uint8)))
    np.testing.assert_allclose(np.asarray(y), p.apply(state, images(np.uint8)), rtol=1e-6)
    if row.back != "none":
        assert p.invert(strict, y).dtype == array_api_strict.float32


@every
def test_float64_stays_float64_for_gradient_checks(row):
    x = images(np.float64)
    state = row.p.fit(x)
    y = row.p.apply(state, x)
    assert y.dtype == np.float64
    assert row.back == "none" or row.p.invert(state, y).dtype == np.float64


@every
def test_the_state_is_found_again_by_its_names(row):
    """As a checkpoint keeps it (flat names) and `open_run` reads it."""
    states = fit_all((Scale(), row.p), images())
    arrays = flat({"carry": {"step": np.zeros(())}, "prepared": states})
    assert all(name.startswith("prepared.1.") for name in arrays if name != "carry.step")
    again = _fitted(arrays, "prepared", 2)
    assert all(same(a, b) for a, b in zip(again, states, strict=True))


def test_a_run_that_is_opened_again_prepares_its_rows_as_it_did(tmp_path):
    steps = (RobustScale(), Power(), Standardize(), Whiten(kind="pca", components=3))
    targets = (Power(), Standardize())
    run = train(Dense(1), "diabetes", loss=SquaredError(), preprocessing=steps, target_preprocessing=targets, epochs=1,
                batch_size=128, engine="numpy", directory=tmp_path / "run")  # fmt: skip
    again, x = open_run(tmp_path / "run"), load_dataset("diabetes").x[:9]
    assert again.experiment.preprocessing == steps
    np.testing.assert_array_equal(again.predict(x), run.predict(x))
    assert float(np.std(run.predict(x))) > 0


@every
def test_many_chunks_give_what_one_would(row, monkeypatch):
    x = images(rows=60)
    whole = row.p.fit(x)
    monkeypatch.setattr(statistics, "CHUNK", 24 * 7)
    for rows in (x, Held(x), x.tolist()):
        parts = row.p.fit(rows)
        assert parts.keys() == whole.keys()
        for name in whole:
            np.testing.assert_allclose(parts[name], whole[name], rtol=2e-6, atol=2e-6 * np.abs(whole[name]).max())


@pytest.mark.parametrize("row", [row for row in MEASURING if row.shape != (6,)])
def test_a_row_of_weight_two_is_the_row_twice(row):
    """But for the directions of PCA() on fewer rows than numbers: the last has no variance, and is any."""
    x, weight = images(rows=30), np.arange(30) % 3 + 1
    ours, repeated = row.p.fit(x, weight), row.p.fit(np.repeat(x, weight, axis=0))
    for name in ours:
        np.testing.assert_allclose(ours[name], repeated[name], rtol=1e-5, atol=1e-5 * np.abs(ours[name]).max())
    assert isinstance(row.p, MinMax) or not same(ours, row.p.fit(x))


@every
def test_one_row_and_columns_that_do_not_vary(row):
    for x in (
        images()[:1],
        np.full(SHAPE, 3.0, np.float32),
        images()[:, :1, :1] * np.float32([1, 0]) + np.float32([0, 7]),
    ):
        p = replace(row.p, components=1) if getattr(row.p, "components", None) else row.p
        state = p.fit(x)
        assert all(np.isfinite(leaf).all() for leaf in state.values())
        y = p.apply(state, x)
        assert np.isfinite(y).all()
        if row.back == "all":
            np.testing.assert_allclose(p.invert(state, y), x, rtol=1e-5)


@pytest.mark.parametrize(
    ("p", "other"),
    [
        (Standardize(), theirs.StandardScaler()),
        (Center(), theirs.StandardScaler(with_std=False)),
        (MinMax(-1, 3), theirs.MinMaxScaler((-1, 3))),
        (RobustScale(), theirs.RobustScaler()),
        (RobustScale(0.05, 0.9), theirs.RobustScaler(quantile_range=(5, 90))),
    ],
)
def test_against_scikit_learn(p, other):
    x, new = table(), table(300)[200:]
    expected = other.fit(x.astype(np.float64)).transform(new.astype(np.float64))
    state = p.fit(x)
    rounding = np.finfo(np.float32).eps * (np.abs(new) / state["scale"] + np.abs(expected) + 1)
    assert (np.abs(p.apply(state, new) - expected) <= 2 * rounding).all()


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_unit_norm_against_scikit_learn(norm):
    np.testing.assert_allclose(UnitNorm(norm).apply({}, table()), theirs.Normalizer(norm).transform(table()), rtol=1e-6)


@pytest.mark.parametrize("kind", ["yeo-johnson", "box-cox"])
def test_power_against_scikit_learn_and_scipy(kind):
    x = np.abs(table()) + 1 if kind == "box-cox" else table()
    other = theirs.PowerTransformer(kind).fit(x.astype(np.float64))
    state = Power(kind).fit(x)
    likeliest = scipy.stats.boxcox_normmax if kind == "box-cox" else scipy.stats.yeojohnson_normmax
    options = {"method": "mle"} if kind == "box-cox" else {}
    for i, power in enumerate(state["power"]):
        assert power == pytest.approx(other.lambdas_[i], rel=1e-4)
        assert power == pytest.approx(likeliest(x[:, i].astype(np.float64), **options), rel=1e-4)
    steps = (Power(kind), Standardize())
    states = fit_all(steps, x)
    np.testing.assert_allclose(apply_all(steps, states, x), other.transform(x.astype(np.float64)), atol=1e-3)
    np.testing.assert_allclose(invert_all(steps, states, apply_all(steps, states, x)), x, rtol=1e-5, atol=1e-5)


def test_power_is_the_transform_of_the_papers_but_for_shift_and_scale():
    """On both sides of 0, also for columns that were measured on one side only."""
    new = np.array([-30.0, -2.0, -0.3, 0.0, 1e-3, 0.5, 3.0, 200.0])
    for column in (0, 1, 2, 4):
        x = table()[:, [column]]
        state = Power().fit(x)
        power, centre = float(state["power"][0]), float(state["centre"][0])
        assert (centre > 0, centre < 0) == (column in (0, 4), column == 2)
        t, middle = (scipy.stats.yeojohnson(np.array(a), power) for a in (new, [centre]))
        unit = (1 + centre) ** power if centre >= 0 else (1 - centre) ** (2 - power)
        y = Power().apply(state, new[:, None])
        np.testing.assert_allclose(y[:, 0], (t - middle) / unit, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(Power().invert(state, y)[:, 0], new, rtol=1e-6, atol=1e-12)
    x = table()[:, [0]]
    state = Power("box-cox").fit(x)
    power, centre = float(state["power"][0]), float(state["centre"][0])
    expected = (scipy.stats.boxcox(x[:, 0].astype("d"), power) - scipy.special.boxcox(centre, power)) / centre**power
    np.testing.assert_allclose(Power("box-cox").apply(state, x.astype("d"))[:, 0], expected, rtol=1e-6, atol=1e-12)


def test_a_column_of_years_keeps_its_digits():
    """2010^70 is no float32. The exponent is checked in 50 digits: the likelihood falls on both sides of it."""
    x = np.round(2010 - np.random.default_rng(0).gamma(1, 20, 60)).astype(np.float32)[:, None]
    (power,), (centre,) = exponents(Chunks(x), "feature", "yeo-johnson")
    assert 40 < power < 200
    with localcontext() as context:
        context.prec = 50
        logs = [(1 + Decimal(float(value))).ln() for value in x[:, 0]]

        def likelihood(p):
            t = [(p * log).exp() / p for log in logs]
            mean = sum(t) / len(t)
            return -(sum((v - mean) ** 2 for v in t) / len(t)).ln() / 2 + p * sum(logs) / len(logs)

        best, step = Decimal(float(power)), Decimal("0.01")
        here = likelihood(best)
        assert here > likelihood(best - step)
        assert here > likelihood(best + step)
    steps = (Power(), Standardize())
    states = fit_all(steps, x)
    y = apply_all(steps, states, x)
    exact = np.expm1(power * np.log((1 + x.astype("d")) / (1 + centre)))
    np.testing.assert_allclose(y, (exact - exact.mean()) / exact.std(), atol=1e-4)
    np.testing.assert_allclose(invert_all(steps, states, y), x, rtol=1e-6)


def test_power_says_something_finite_far_outside():
    power, x = Power(), table()
    state = power.fit(x)
    far = np.float32([[-1e30], [-1e6], [1e6], [1e30]]) * np.ones((1, x.shape[1]), np.float32)
    y = power.apply(state, far)
    assert np.isfinite(y).all()
    assert (np.diff(y, axis=0) >= 0).all()
    assert np.isfinite(power.invert(state, np.float32([[-1e6], [1e6]]) * np.ones((1, x.shape[1]), np.float32))).all()


def test_the_derivatives_of_the_transform_are_right():
    z = np.array([-30.0, -3.0, -0.11, -0.09, -1e-3, 0.0, 1e-9, 0.05, 0.0999, 0.1001, 2.0, 20.0])
    for i, found in enumerate(phi(z)):
        exact = [scipy.integrate.quad(lambda t, i=i, a=a: t**i * np.exp(t * a), 0, 1, epsabs=0)[0] for a in z]
        np.testing.assert_allclose(found, exact, rtol=1e-12)


@pytest.mark.parametrize("solver", ["eigen", "svd"])
def test_pca_and_whitening_against_scikit_learn(solver):
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(7, 7)))[0]
    x = rng.normal(size=(90, 7)) * np.arange(1, 8) @ turn + rng.normal(size=7)
    n, other = len(x), sklearn.decomposition.PCA(4).fit(x)
    pca = PCA(components=4, solver=solver)
    state = pca.fit(x)
    np.testing.assert_allclose(state["components"].T, other.components_, atol=1e-6)
    np.testing.assert_allclose(pca.apply(state, x), other.transform(x), atol=1e-5)
    np.testing.assert_allclose(
        pca.invert(state, pca.apply(state, x)), other.inverse_transform(other.transform(x)), atol=1e-5
    )
    whiten, other = Whiten(kind="pca", epsilon=0.0, solver=solver), sklearn.decomposition.PCA(whiten=True).fit(x)
    y = whiten.apply(whiten.fit(x), x)
    np.testing.assert_allclose(y * np.sqrt((n - 1) / n), other.transform(x), atol=1e-5)
    for share in (0.5, 0.9, 0.999, 1.0):
        kept = PCA(variance=share, solver=solver).fit(x)["components"].shape[1]
        assert kept == (7 if share == 1 else sklearn.decomposition.PCA(share).fit(x).n_components_)


def test_zca_is_that_of_cs231n_and_the_nearest_of_all():
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(50, 2, 3, 1)) * rng.uniform(0.1, 3, (2, 3, 1))).astype(np.float32)
    rows = x.reshape(50, -1).astype(np.float64)
    rows = rows - rows.mean(axis=0)
    u, s, _ = np.linalg.svd(rows.T @ rows / len(rows))
    expected = rows @ u / np.sqrt(s + 1e-5) @ u.T
    zca = Whiten()
    y = zca.apply(zca.fit(x), x)
    assert y.shape == x.shape
    np.testing.assert_allclose(y.reshape(50, -1), expected, atol=1e-5)
    np.testing.assert_allclose(y.reshape(50, -1).T @ y.reshape(50, -1) / 50, np.eye(6), atol=1e-3)
    pca = Whiten(kind="pca")
    turned = pca.apply(pca.fit(x), x)
    assert np.square(expected - rows).sum() < np.square(turned - rows).sum()


def test_the_solvers_agree_also_in_sign():
    x = images(rows=40)
    for p in (PCA(components=12), Whiten(kind="pca", components=12), Whiten(components=12)):
        eigen, svd = p.fit(x), replace(p, solver="svd").fit(x)
        for name in eigen:
            np.testing.assert_allclose(eigen[name], svd[name], rtol=1e-6, atol=1e-6)
        largest = np.abs(eigen["components"]).argmax(axis=0)
        assert (np.take_along_axis(eigen["components"], largest[None], axis=0) > 0).all()


def test_directions_without_variance_are_not_blown_up():
    """A column that repeats another: of rounding, whitening would make numbers as large as all others."""
    x = images(rows=40).reshape(40, -1)
    x[:, 5] = x[:, 2]
    for solver in ("eigen", "svd"):
        whiten = Whiten(kind="pca", epsilon=0.0, solver=solver)
        y = whiten.apply(whiten.fit(x), x)
        np.testing.assert_allclose(y.std(axis=0)[:-1], 1, rtol=1e-3)
        assert np.abs(y[:, -1]).max() < 1e-3


@pytest.mark.parametrize(("axis", "over"), [("feature", 0), ("channel", (0, 1, 2)), ("all", None)])
def test_statistics_are_those_of_numpy(axis, over):
    x = images(np.float64)
    state = Standardize(axis=axis).fit(x)
    np.testing.assert_allclose(state["shift"], x.mean(axis=over), rtol=1e-6)
    np.testing.assert_allclose(state["scale"], x.std(axis=over), rtol=1e-6)
    y = Standardize(axis=axis).apply(state, x)
    np.testing.assert_allclose(y.mean(axis=over), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=over), 1, rtol=1e-6)
    low_high = MinMax(-1, 3, axis=axis).apply(MinMax(-1, 3, axis=axis).fit(x), x)
    np.testing.assert_allclose(low_high.min(axis=over), -1, atol=1e-5)
    np.testing.assert_allclose(low_high.max(axis=over), 3, atol=1e-5)
    single = x.astype(np.float32).astype(np.float64)
    for share, found in zip((0.0, 0.1, 0.5, 1.0), quantiles(Chunks(x), axis, (0.0, 0.1, 0.5, 1.0)), strict=True):
        np.testing.assert_allclose(found, np.quantile(single, share, axis=over), rtol=1e-12)


def test_many_large_chunks_give_what_one_would():
    rows = 3 * CHUNK // 1024 + 5
    x = (np.arange(rows * 1024, dtype=np.uint32) * np.uint32(2654435761) >> 24).astype(np.uint8).reshape(rows, 1024)
    state = Standardize().fit(x)
    np.testing.assert_allclose(state["shift"], x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(state["scale"], x.std(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(MinMax().fit(x)["shift"], x.min(axis=0))
    np.testing.assert_array_equal(RobustScale().fit(x)["shift"], np.median(x, axis=0))


def test_parts_measured_apart_are_merged_in_one_pass_without_loss():
    x = 1e9 + np.random.default_rng(0).normal(size=(3000, 3))
    parts = [measured(x[i:j].copy(), None) for i, j in ((0, 1), (1, 700), (700, 3000))]
    merged = parts[2].merge(parts[0].merge(parts[1]))
    assert isinstance(merged, Moments)
    np.testing.assert_allclose(merged.mean, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(merged.std, x.std(axis=0), rtol=1e-7)
    naive = np.sqrt(np.maximum((x**2).mean(axis=0) - x.mean(axis=0) ** 2, 0))
    assert (np.abs(naive - x.std(axis=0)) > 0.1).all()  # what the difference of two large sums would say
    found = covariance(Chunks(x), 3)
    np.testing.assert_allclose(found.matrix, np.cov(x.T, bias=True), atol=1e-6)
    np.testing.assert_allclose(moments(Chunks(x), "all").std, x.std(), rtol=1e-7)


def test_each_row_is_read_once_for_moments_and_covariance():
    class Counted(Held):
        read_rows = 0

        def read(self, places):
            Counted.read_rows += len(places)
            return super().read(places)

    x = images(rows=60)
    moments(Chunks(Counted(x)), "channel")
    assert Counted.read_rows == 60
    covariance(Chunks(Counted(x)), 24)
    assert Counted.read_rows == 120


@pytest.mark.parametrize("weighted", [False, True])
def test_quantiles_are_exact(weighted, monkeypatch):
    """Negative numbers, ties, zeros of both signs, tiny and huge ones, in both lengths of a digit."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(101, 6)) * 10.0 ** rng.integers(-30, 30, 6)).astype(np.float32)
    x[:, 1] = rng.integers(-2, 3, 101)
    x[::3, 2] = -0.0
    x[::4, 2] = 0.0
    x[:, 3] = 7.0
    weight = rng.integers(1, 4, 101) if weighted else None
    tenth = np.full(4, 0.1)
    assert [q.tolist() for q in quantiles(Chunks(x[:4, :1], weight=tenth), "all", (0.0, 1.0))] == [x[:4, 0].min()] * 2
    shares = (0.0, 0.01, 0.25, 0.5, 0.77, 1.0)
    whole = x if weight is None else np.repeat(x, weight, axis=0)
    monkeypatch.setattr(statistics, "CHUNK", 6 * 20)
    for small in (2**16, 1):
        monkeypatch.setitem(quantiles.__globals__, "SMALL", small)
        found = quantiles(Chunks(x, weight=weight), "feature", shares)
        np.testing.assert_allclose(found, np.quantile(whole.astype("d"), shares, axis=0), rtol=1e-12)


def test_rows_larger_than_memory_are_measured_within_a_little(tmp_path, monkeypatch):
    """A file of 300 MB for the quick ones; of 8 MB, in chunks of 64 kB, for the others; a quarter of it for the slowest."""
    big = np.memmap(tmp_path / "big", np.uint8, "w+", shape=(100_000, 3000))
    big[:1000] = 200
    small = np.memmap(tmp_path / "small", np.float32, "w+", shape=(2**17, 16))
    small[:] = (1 + np.arange(2**17) % 1009)[:, None] * np.arange(1, 17)
    for p, x, chunk, most in (
        (Standardize(), big, 2**18, 8e6),
        (MinMax(axis="all"), big, 2**18, 8e6),
        (Standardize(), small, 2**13, 1.5e6),
        (RobustScale(), small, 2**13, 1.5e6),
        (PCA(), small, 2**13, 1.5e6),
        (Whiten(), small, 2**13, 1.5e6),
        (Power(), small[: 2**15], 2**11, 5e5),
    ):
        monkeypatch.setattr(statistics, "CHUNK", chunk)
        tracemalloc.start()
        state = p.fit(x)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < most < x.nbytes / 4, (p, peak)
        if x is big and p == Standardize():
            np.testing.assert_allclose(state["shift"], 2.0, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.3, -3e-30, 1e-42])
def test_a_constant_column_is_not_divided_by_zero(value):
    x = np.full((7, 2), value, np.float32)
    x[:, 1] = np.arange(7)
    for p, expected in (
        (Standardize(), 0.0),
        (Center(), 0.0),
        (MinMax(), 0.0),
        (MinMax(-1, 1), -1.0),
        (RobustScale(), 0.0),
    ):
        state = p.fit(x)
        assert state["scale"][0] in (1.0, 0.5)
        np.testing.assert_allclose(p.apply(state, x)[:, 0], expected, atol=1e-6)
    assert Power().fit(x)["power"][0] == 1


def test_a_large_mean_loses_no_digits():
    x = (1e4 + random.normal(random.key(0), (500, 1))).astype(np.float32)
    assert Standardize().fit(x)["scale"][0] == pytest.approx(x.astype(np.float64).std(), rel=1e-6)


def test_a_row_of_zeros_and_rows_near_the_ends_of_float32_have_a_norm():
    x = np.float32([[0, 0], [3e38, -3e38], [3e-39, 4e-39]])
    y = UnitNorm().apply({}, x)
    np.testing.assert_allclose(y, [[0, 0], [0.5**0.5, -(0.5**0.5)], [0.6, 0.8]], rtol=1e-4)


def test_each_is_fitted_on_what_those_before_it_leave():
    x = images(np.uint8)
    steps = (Scale(), Standardize(axis="channel"), MinMax(-1, 1))
    states = fit_all(steps, x)
    y = apply_all(steps, states, x)
    by_hand = x
    for p, state in zip(steps, states, strict=True):
        assert all(np.array_equal(p.fit(by_hand)[name], state[name]) for name in state)
        by_hand = p.apply(state, by_hand)
    np.testing.assert_array_equal(y, by_hand)
    assert (float(y.min()), float(y.max())) == (pytest.approx(-1, abs=1e-5), pytest.approx(1, abs=1e-5))
    np.testing.assert_allclose(invert_all(steps, states, y), x, atol=1e-2)


def test_no_preprocessing_still_gives_floats():
    assert fit_all((), images(np.uint8)) == ()
    assert apply_all((), (), images(np.uint8)).dtype == np.float32


@pytest.mark.parametrize(
    "p", [Center(), Standardize(axis="channel"), MinMax(), RobustScale(), Power(), PCA(), Whiten()], ids=str
)
def test_rows_of_another_shape_are_refused(p):
    state = p.fit(images())
    with pytest.raises(ShapeError, match=rf"{type(p).__name__}: expected rows like those it was fitted on"):
        p.apply(state, images()[..., :1])


def test_numbers_that_are_none_are_named():
    x = table()
    x[150, 3] = np.nan
    text = r"row 150 \(from 0\), column 3: expected a finite number, got nan; fill it in or leave the row out"
    with pytest.raises(DataError, match=text):
        Standardize().fit(x)
    with pytest.raises(DataError, match=text):
        fit_all((Scale(), Power()), Held(x))
    x = images()
    x[2, 1, 0, 1] = np.inf
    with pytest.raises(DataError, match=r"row 2 \(from 0\), position \(1, 0, 1\): expected a finite number, got inf"):
        MinMax().fit(x)
    with (
        pytest.raises(DataError, match=r"got inf; the step before makes it of a finite one"),
        np.errstate(over="ignore"),
    ):
        fit_all((Scale(1e38), Standardize()), images())
    with pytest.raises(DataError, match=r"expected at least one row to measure, got x of the shape \(0, 4, 3, 2\)"):
        MinMax().fit(x[:0])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PCA(components=7).fit(images()), r"components: PCA: expected at most 6, .*, got 7"),
        (lambda: Whiten(solver="svd", memory=1000).fit(images()), r"6 x 24 numbers, 1152 bytes; .* memory = 1000"),
        (lambda: PCA(memory=4607).fit(images()), r"a covariance of 24 x 24 numbers, 4608 bytes; .* solver='svd'"),
        (lambda: Power("box-cox").fit(images() - 100), r"expected numbers above 0 for box-cox, got -.* in column \d+"),
        (lambda: Log().fit(images() - 100), r"Log: expected numbers above"),
    ],
)
def test_rows_that_cannot_be_measured_are_refused(make, text):
    with pytest.raises(BacklitError, match=text):
        make()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MinMax(1.0, 1.0), r"high: expected a number above low \(1.0\), got 1.0"),
        (lambda: RobustScale(0.7, 0.3), r"high: expected a number above low \(0.7\), got 0.3"),
        (lambda: RobustScale(0.7, 30), r"high: expected a number less than or equal to 1, got 30"),
        (lambda: PCA(components=3, variance=0.5), r"variance: expected components or variance, got both"),
        (lambda: PCA(variance=0.0), r"variance: expected a number greater than 0, got 0.0"),
        (lambda: Whiten(epsilon=-1.0), r"epsilon: expected a number greater than or equal to 0, got -1.0"),
        (lambda: Power("sqrt"), r"kind: expected 'yeo-johnson' or 'box-cox', got 'sqrt'"),
        (lambda: Scale(0.0), r"factor: expected a number greater than 0, got 0.0"),
        (lambda: Center(axis="row"), r"axis: expected 'feature', 'channel' or 'all', got 'row'"),
        (lambda: build(Preprocessor, "standardise it"), r"unknown preprocessor 'standardise it'; did you mean"),
    ],
)
def test_wrong_settings_are_named(make, text):
    with pytest.raises(SettingError, match=text):
        make()
