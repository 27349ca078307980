"""The scikit-learn face: its contract, parity with MLPClassifier, weights, streams, engines, errors."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import backlit as bl
from backlit.engine import tree
from backlit.errors import BacklitError, DataError, NonFiniteError, SettingError, ShapeError
from backlit.estimators import Classifier, Regressor
from backlit.estimators.arguments import Arguments
from backlit.estimators.rounds import Plateau, choose
from backlit.losses import BinaryHinge
from backlit.optim import Cosine

IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)

settles = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
"""For tests in which a few epochs are enough."""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        Classifier(max_iter=80),
        Regressor(max_iter=80),
        Classifier(
            (20,), "tanh", solver="sgd", nesterovs_momentum=False, learning_rate_init=0.1, tol=1e-3, max_iter=60
        ),
        Regressor(
            "huber", (20,), solver="sgd", learning_rate="invscaling", learning_rate_init=0.02, power_t=0.1, max_iter=60
        ),
    ],
    ids=["classifier", "regressor", "classifier-sgd", "regressor-huber"],
)
def test_scikit_learns_checks(estimator):
    results = check_estimator(estimator, expected_failed_checks={})
    wrong = [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")]
    assert not wrong
    assert sum(r["status"] == "passed" for r in results) > 55


@pytest.mark.parametrize(("ours", "theirs"), [(Classifier, MLPClassifier), (Regressor, MLPRegressor)])
def test_argument_names_and_defaults(ours, theirs):
    mine = ours().get_params()
    for name, value in theirs().get_params().items():
        assert mine[name] == value, name


@settles
@pytest.mark.parametrize("data", [IRIS, CANCER], ids=["iris", "breast-cancer"])
def test_accuracy_like_mlpclassifier(data):
    settings = {"random_state": 0, "max_iter": 60, "learning_rate_init": 0.01, "hidden_layer_sizes": (30,)}
    mine, theirs = Classifier(**settings), make_pipeline(StandardScaler(), MLPClassifier(**settings))
    scores = [cross_val_score(model, *data, cv=3).mean() for model in (mine, theirs)]
    assert scores[0] > scores[1] - 0.03
    assert scores[0] > 0.93


@settles
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_same_steps_as_scikit_learn(kind, momentum, nesterov):
    """From the same parameters, SGD takes the same steps: gradient, penalty, momentum, batches, loss."""
    common = {
        "hidden_layer_sizes": (7,),
        "activation": "tanh",
        "solver": "sgd",
        "learning_rate_init": 0.05,
        "batch_size": 40,
        "shuffle": False,
        "alpha": 0.5,
        "momentum": momentum,
        "nesterovs_momentum": nesterov,
        "warm_start": True,
        "tol": 0.0,
        "random_state": 0,
        "max_iter": 1,
    }
    if kind == "classifier":
        X, y = StandardScaler().fit_transform(IRIS[0])[10:130], IRIS[1][10:130]
        mine, theirs = Classifier(**common, preprocessing=None), MLPClassifier(**common)
    else:
        X, y = StandardScaler().fit_transform(DIABETES[0])[:120], DIABETES[1][:120] / 100
        mine = Regressor(**common, preprocessing=None, target_preprocessing=None)
        theirs = MLPRegressor(**common)
    mine.fit(X, y)
    theirs.fit(X, y)
    theirs.coefs_ = [W.copy() for W in mine.coefs_]
    theirs.intercepts_ = [b.copy() for b in mine.intercepts_]
    mine.set_params(max_iter=4).fit(X, y)
    theirs.set_params(max_iter=4).fit(X, y)
    for W, expected in zip(mine.coefs_ + mine.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(W, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-6)  # sums of an epoch are in single precision
    assert (mine.n_iter_, mine.n_layers_, mine.n_outputs_) == (theirs.n_iter_, theirs.n_layers_, theirs.n_outputs_)
    assert mine.out_activation_ == theirs.out_activation_


@settles
def test_partial_fit_goes_on():
    """Epochs one by one are the epochs of one fit: same order, same optimiser."""
    X, y = IRIS
    whole = Classifier((8,), max_iter=6, tol=0.0, random_state=3, batch_size=32).fit(X, y)
    parts = Classifier((8,), max_iter=6, tol=0.0, random_state=3, batch_size=32)
    for _ in range(6):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(parts.coefs_[0], whole.coefs_[0])
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.t_ == 6 * len(X)


def test_partial_fit_of_a_stream():
    X, y = IRIS
    order = np.random.default_rng(0).permutation(len(X))
    model = Classifier((16,), learning_rate_init=0.02, random_state=0)
    with pytest.raises(DataError, match=r"classes: the first partial_fit expected all classes"):
        model.partial_fit(X, y)
    for _ in range(15):
        for rows in np.array_split(order, 5):
            model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert model.score(X, y) > 0.93
    with pytest.raises(DataError, match=r"row 0 .*expected one of the classes"):
        model.partial_fit(X[:1], [7])
    with pytest.raises(DataError, match="classes: expected those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])


@settles
def test_warm_start():
    X, y = IRIS
    settings = {
        "hidden_layer_sizes": (8,),
        "solver": "sgd",
        "momentum": 0.0,
        "tol": 0.0,
        "random_state": 1,
        "batch_size": 50,
    }
    whole = Classifier(**settings, max_iter=8).fit(X, y)
    twice = Classifier(**settings, max_iter=4, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(twice.coefs_[1], whole.coefs_[1])
    assert len(twice.loss_curve_) == 8
    anew = clone(twice).set_params(warm_start=False).fit(X, y).fit(X, y)
    assert len(anew.loss_curve_) == 4
    with pytest.raises(DataError, match="expected one of the classes"):
        twice.fit(X, y + 1)


@settles
def test_random_state_decides_everything():
    X, y = IRIS
    net = [bl.Dense(8), bl.ReLU(), bl.Dropout(0.3), bl.Dense(3)]

    def make(seed):
        return Classifier(net=net, max_iter=5, random_state=seed).fit(X, y).predict_proba(X)

    np.testing.assert_array_equal(make(0), make(0))
    np.testing.assert_array_equal(make(np.random.RandomState(5)), make(np.random.RandomState(5)))
    assert not np.array_equal(make(0), make(1))
    assert not np.array_equal(make(None), make(None))


@settles
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_weights_are_repetitions(kind):
    """In full batches a row of weight 3 is the row three times, and one of weight 0 is no row."""
    X, y = (a[::5] for a in (IRIS if kind == "classifier" else DIABETES))
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    common = {
        "hidden_layer_sizes": (6,),
        "solver": "sgd",
        "learning_rate": "invscaling",
        "power_t": 0.2,
        "max_iter": 30,
        "learning_rate_init": 0.1,
        "alpha": 0.1,
        "random_state": 0,
    }
    model = (Classifier if kind == "classifier" else Regressor)(**common)
    weighted = clone(model).fit(X, y, sample_weight=weight)
    repeated = clone(model).fit(X.repeat(weight, 0), y.repeat(weight))
    np.testing.assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)
    assert not np.allclose(weighted.coefs_[0], model.fit(X, y).coefs_[0], rtol=1e-2)


@settles
def test_weights_in_small_batches():
    """A class that counts nearly nothing is hardly ever answered."""
    X, y = IRIS
    weight = np.where(y == 1, 1e-3, 1.0)
    model = Classifier((8,), batch_size=16, max_iter=40, learning_rate_init=0.01, random_state=0)
    assert np.mean(model.fit(X, y, sample_weight=weight).predict(X) == 1) < 0.2
    assert np.mean(model.fit(X, y).predict(X) == 1) > 0.25


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        (np.zeros(150), "only zeros"),
        (-np.ones(150), "numbers >= 0"),
        (np.ones(3), "one number for each of 150 rows"),
        (np.full(150, np.nan), "finite"),
    ],
)
def test_bad_weights(weight, sentence):
    with pytest.raises(DataError, match=f"sample_weight: .*{sentence}"):
        Classifier().fit(*IRIS, sample_weight=weight)


@settles
@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_pickle_and_clone(engine):
    X, y = IRIS
    model = Classifier((6,), max_iter=3, engine=engine, random_state=0, loss="SoftmaxCrossEntropy", net=None).fit(X, y)
    data = pickle.dumps(model)
    assert b"jax" not in data
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert all(type(w) is np.ndarray for w in tree.leaves((again.params_, again.state_)))
    np.testing.assert_array_equal(again.partial_fit(X, y).coefs_[0], model.partial_fit(X, y).coefs_[0])
    fresh = clone(model)
    assert not hasattr(fresh, "coefs_")
    with pytest.raises(NotFittedError):
        fresh.predict(X)


@settles
def test_engines_agree():
    X, y = IRIS
    settings = {
        "net": [bl.Dense(9), bl.Tanh(), bl.Dropout(0.2), bl.Dense(3)],
        "max_iter": 10,
        "batch_size": 40,
        "random_state": 0,
        "early_stopping": True,
    }
    models = [Classifier(**settings, engine=engine).fit(X, y) for engine in ("numpy", "xla")]
    np.testing.assert_allclose(models[0].predict_proba(X), models[1].predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(models[0].loss_curve_, models[1].loss_curve_, rtol=1e-4)
    assert [m.coefs_[0].dtype for m in models] == [np.float64, np.float32]


@settles
def test_another_learning_rate_compiles_nothing(monkeypatch):
    passes = []
    forward = bl.Dense.forward

    def counted(self, *args):
        passes.append(self)
        return forward(self, *args)

    monkeypatch.setattr(bl.Dense, "forward", counted)
    X, y = IRIS
    model = Classifier((5, 3), max_iter=3, engine="xla", random_state=0).fit(X, y)
    traced = len(passes)
    first = model.coefs_[0]
    model.set_params(learning_rate_init=0.3, random_state=1).fit(X, y)
    assert traced > 0
    assert len(passes) == traced
    assert not np.array_equal(first, model.coefs_[0])


def test_engine_by_size():
    small, large, kernel = np.zeros((30, 100)), np.zeros((1000, 1000)), np.zeros((3, 3, 1, 4))
    assert choose("auto", {"W": small}, steps=600, batch=200) == "numpy"
    assert choose("auto", {"W": small}, steps=6000, batch=200) == "xla"
    assert choose("auto", {"W": large}, steps=10, batch=200) == "xla"
    assert choose("auto", {"W": kernel}, steps=1, batch=1) == "xla"
    assert choose("numpy", {"W": large}, steps=10**9, batch=200) == "numpy"


@settles
def test_early_stopping_returns_the_best():
    X, y = CANCER
    model = Classifier(
        (16,), early_stopping=True, validation_fraction=0.2, n_iter_no_change=3, learning_rate_init=0.05, random_state=0
    ).fit(X, y)
    assert model.n_iter_ == len(model.validation_scores_) < 200
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ is None
    # The parameters are those of the best epoch, not of the last: a training that ends there gives the same.
    best = int(np.argmax(model.validation_scores_)) + 1
    again = clone(model).set_params(max_iter=best).fit(X, y)
    assert best < model.n_iter_
    np.testing.assert_array_equal(model.coefs_[0], again.coefs_[0])


@settles
def test_a_batch_larger_than_the_data():
    with pytest.warns(UserWarning, match="batch_size: 1000 is more than the 150 rows; all rows are one batch"):
        large = Classifier((3,), max_iter=2, batch_size=1000, random_state=0).fit(*IRIS)
    exact = Classifier((3,), max_iter=2, batch_size=150, random_state=0).fit(*IRIS)
    np.testing.assert_array_equal(large.coefs_[0], exact.coefs_[0])


def test_plateau():
    plateau = Plateau(tol=0.1, patience=2)
    assert [plateau.seen(score) for score in (-1.0, -0.8, -0.75, -0.74, -0.76)] == [True, True, True, True, False]
    assert plateau.stalled == 3
    assert plateau.reached


def test_learning_rates():
    def rates(rows, cuts, **given):
        return Arguments(learning_rate_init=0.1, **given).lr(rows, cuts)

    assert rates(500, 0) == 0.1
    assert rates(99, 0, solver="sgd", learning_rate="invscaling") == pytest.approx(0.1 / 100**0.5)
    assert rates(99, 0, solver="adam", learning_rate="invscaling") == 0.1
    assert rates(99, 2, solver="sgd", learning_rate="adaptive") == pytest.approx(0.1 / 25)
    assert rates(99, 2, optimizer="sgd") == 1.0
    kinds = [Arguments(solver="sgd", momentum=m, nesterovs_momentum=n).rule() for m, n in ((0, True), (0.5, False))]
    assert kinds == [bl.SGD(lr=1.0), bl.Momentum(lr=1.0, momentum=0.5)]


def test_adaptive_rate_ends_by_itself():
    model = Classifier(
        (4,),
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=0.5,
        n_iter_no_change=1,
        tol=0.05,
        max_iter=300,
        random_state=0,
    ).fit(*IRIS)
    assert model.n_iter_ < 300
    fixed = clone(model).set_params(learning_rate="constant").fit(*IRIS)
    assert fixed.n_iter_ < model.n_iter_


@settles
def test_own_net_loss_and_optimizer():
    X, y = IRIS
    rule = bl.AdamW(lr=Cosine(0.05), weight_decay=0.1)
    model = Classifier(
        net=[bl.Dense(12), bl.GELU(), bl.Dense(3)],
        optimizer=rule,
        loss="MultiClassHinge",
        max_iter=60,
        preprocessing=["center", "minmax"],
        random_state=0,
    ).fit(X, y)
    assert model.score(X, y) > 0.93
    assert [W.shape for W in model.coefs_] == [(4, 12), (12, 3)]
    assert Classifier((), max_iter=2).fit(X, y).coefs_[0].shape == (4, 3)  # softmax regression
    two = Classifier((5,), loss=BinaryHinge(), max_iter=50, learning_rate_init=0.05, random_state=0).fit(
        X[:100], y[:100]
    )
    assert two.score(X[:100], y[:100]) == 1.0
    assert two.predict_proba(X[:3]).shape == (3, 2)
    assert two.coefs_[-1].shape == (5, 1)


@settles
def test_names_of_classes_and_columns():
    import pandas as pd

    X = pd.DataFrame(IRIS[0], columns=["a", "b", "c", "d"])
    y = np.array(["setosa", "versicolor", "virginica"])[IRIS[1]]
    model = Classifier((8,), max_iter=60, learning_rate_init=0.02, random_state=0).fit(X, y)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert model.score(X, y) > 0.93
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[["b", "a", "c", "d"]])


@settles
def test_several_labels_a_row():
    X, y = make_multilabel_classification(120, 8, n_classes=4, random_state=0)
    model = Classifier((16,), max_iter=80, learning_rate_init=0.02, random_state=0).fit(X, y)
    assert model.predict(X).shape == model.predict_proba(X).shape == y.shape
    assert model.score(X, y) > 0.5
    assert model.out_activation_ == "logistic"


@settles
def test_sparse_rows_are_dense_rows():
    X, y = IRIS
    X = np.where(X > 2, X, 0.0)
    dense, sparse = (Classifier((6,), max_iter=4, random_state=0).fit(rows, y) for rows in (X, csr_array(X)))
    np.testing.assert_array_equal(dense.predict_proba(X), sparse.predict_proba(csr_array(X)))


@settles
def test_regression_does_not_depend_on_units():
    X, y = DIABETES
    model = Regressor(hidden_layer_sizes=(10,), max_iter=40, learning_rate_init=0.01, random_state=0)
    here, there = (clone(model).fit(X, t).predict(X) for t in (y, 1000.0 * y + 50_000))
    np.testing.assert_allclose(there, 1000 * here + 50_000, rtol=1e-4)
    assert clone(model).fit(X, y).score(X, y) > 0.45
    raw = clone(model).set_params(target_preprocessing=None).fit(X, y)
    assert raw.score(X, y) < 0.2


@settles
def test_regression_of_several_targets():
    X, y = DIABETES
    both = np.stack([y, -3 * y], axis=1)
    model = Regressor(hidden_layer_sizes=(10,), max_iter=60, learning_rate_init=0.01, random_state=0)
    assert clone(model).fit(X, both).predict(X).shape == both.shape
    assert clone(model).fit(X, both).score(X, both) > 0.45
    assert clone(model).fit(X, y[:, None]).predict(X).shape == (len(X), 1)
    assert clone(model).fit(X, y).predict(X).shape == (len(X),)


@settles
def test_search_within_a_pipeline():
    grid = {
        "classifier__alpha": np.logspace(-4, 0, 2),
        "classifier__hidden_layer_sizes": [4, (6, 3)],
        "classifier__optimizer": [None, "momentum"],
    }
    pipeline = make_pipeline(MinMaxScaler(), Classifier(max_iter=20, learning_rate_init=0.05, random_state=0))
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(*IRIS)
    assert search.best_score_ > 0.8
    assert len(search.cv_results_["params"]) == 8


def test_convergence_is_said():
    with pytest.warns(ConvergenceWarning, match="max_iter: training has not converged after 2 epochs"):
        Classifier((3,), max_iter=2).fit(*IRIS)
    done = Classifier((3,), max_iter=500, learning_rate_init=0.05, tol=0.01, random_state=0).fit(*IRIS)
    assert done.n_iter_ < 500
    assert done.best_loss_ == min(done.loss_curve_)


@settles
def test_verbose(capsys):
    Classifier((3,), max_iter=2, verbose=True, early_stopping=True).fit(*IRIS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1: loss ")
    assert "validation score" in lines[0]


@settles
@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_a_loss_that_explodes(engine):
    X, y = DIABETES
    model = Regressor(optimizer=bl.SGD(lr=1e12), engine=engine, random_state=0)
    with pytest.raises(
        NonFiniteError, match=r"the loss is not finite at step \d+ .*try a smaller learning rate, or preprocessing"
    ):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"solver": "lbfgs"}, "solver: expected 'adam' or 'sgd', got 'lbfgs'"),
        ({"solver": "adm"}, "solver: expected 'adam', 'sgd' or 'lbfgs', got 'adm'"),
        ({"activation": "rely"}, "activation: .*did you mean 'ReLU'"),
        ({"alpha": -1.0}, "alpha: expected a number greater than or equal to 0, got -1.0"),
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes.*greater than or equal to 1, got"),
        ({"batch_size": 0}, "batch_size: expected .*'auto'.*, got 0"),
        ({"validation_fraction": 1.0}, "validation_fraction: expected a number less than 1"),
        ({"optimizer": "adamm"}, "optimizer: .*did you mean 'Adam"),
        ({"preprocessing": "standardise_it"}, "preprocessing.0: unknown preprocessor"),
        ({"loss": "squared_error"}, "loss: expected a loss on classes such as SoftmaxCrossEntropy, got SquaredError"),
        ({"loss": "BinaryCrossEntropy"}, "loss: expected a loss on several classes, since y has 3"),
        ({"engine": "torch"}, "engine: expected 'auto', 'numpy' or 'xla', got 'torch'"),
        ({"net": [bl.Dense(2)]}, r"net: expected 3 outputs a row .*, got \(2,\); end the net with Dense\(3\)"),
        ({"net": [bl.Reshape((3,))]}, "net.reshape_1: "),
        (
            {"early_stopping": True, "validation_fraction": 1e-4},
            "validation_fraction: expected a share of at least one",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_one_sentence(settings, sentence):
    model = Classifier(**settings)  # the constructor only stores, as scikit-learn asks
    with pytest.raises((SettingError, ShapeError), match=sentence):
        model.fit(*IRIS)


def test_wrong_arguments_are_told_together():
    with pytest.raises(SettingError) as caught:
        Regressor(alpha=-1, tol="small", max_iter=0).fit(*DIABETES)
    assert [path for path, _ in caught.value.problems] == ["alpha", "max_iter", "tol"]


@settles
def test_targets_that_do_not_fit():
    X, y = IRIS
    with pytest.raises(ValueError, match="continuous"):
        Classifier().fit(X, y + 0.5)
    with pytest.raises(SettingError, match=r"loss: expected a loss on values .*; use Classifier"):
        Regressor("SoftmaxCrossEntropy").fit(X, y)
    model = Regressor(max_iter=2, warm_start=True).fit(X, y)
    with pytest.raises(BacklitError, match="y: expected 1 targets a row as in the first fit, got 2"):
        model.fit(X, np.stack([y, y], 1))


def test_scikit_learn_is_loaded_late():
    code = "import sys, backlit; assert 'sklearn' not in sys.modules; print(backlit.Classifier().engine)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "auto", done.stderr
