"""Training on sequences: tokens, a target for each time step, masks for rows of several lengths, order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import backlit as bl
from backlit import cli
from backlit.config import Experiment
from backlit.data import Arrays, Dataset, Split, streams_indices
from backlit.engine import random, tree
from backlit.errors import DataError, SettingError, ShapeError
from backlit.evaluation.metrics import measure, per_step, real_steps
from backlit.settings import build, plain
from backlit.training.loop import fit
from backlit.training.setup import setup

RNG = np.random.default_rng(5)
N, T, V, K = 29, 7, 6, 3
LENGTHS = RNG.integers(1, T + 1, N)
MASK = (np.arange(T) < LENGTHS[:, None]).astype("f")
TOKENS = (RNG.integers(1, V, (N, T)) * MASK).astype(np.int32)
TAGS = ((TOKENS % K) * MASK).astype(np.int32)
CLASSES = ("O", "I-LOC", "I-PER")
NET = bl.Chain(bl.Embedding(V, 4), bl.Dense(K))
SPLIT = Split(validation=0.2, test=0.2)


def ragged(**changes) -> Dataset:
    return replace(Dataset(TOKENS, TAGS, CLASSES, mask=MASK, vocabulary=tuple("-abcde"), name="ragged"), **changes)


def experiment(**changes) -> Experiment:
    fields = {"data": Arrays((), ()), "net": NET, "loss": bl.SoftmaxCrossEntropy(), "optimizer": bl.SGD(lr=0.5),
              "batch_size": 5, "epochs": 2, "engine": "numpy", "split": SPLIT}  # fmt: skip
    return Experiment(**fields | changes)


# Masks


def test_equals_a_loop_written_by_hand():
    """The mean is taken over the real steps of a batch; sums count them."""
    e = experiment()
    ready, run = setup(e, ragged()), fit(e, ragged())
    W, U, b = ready.params["embedding_1"]["W"], ready.params["dense_1"]["W"], ready.params["dense_1"]["b"]
    train, losses, shares = ready.parts.train, [], []
    for epoch in range(2):
        order = random.permutation(random.fold(random.fold(random.key(0), "order"), epoch), len(train))
        total = right = steps = 0.0
        for start in range(0, len(train), 5):
            rows = order[start : start + 5]
            x, t, m = train.x[rows], train.y[rows], train.mask[rows]
            h = W[x]
            z = h @ U + b
            p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
            one = np.eye(K)[t]
            total += -(np.log((p * one).sum(axis=-1)) * m).sum()
            right += ((z.argmax(axis=-1) == t) * m).sum()
            steps += m.sum()
            delta = (p - one) * m[..., None] / m.sum()
            dh = delta @ U.T
            dW = np.zeros_like(W)
            np.add.at(dW, x.reshape(-1), dh.reshape(-1, 4))
            U, b, W = U - 0.5 * np.einsum("ntd,ntk->dk", h, delta), b - 0.5 * delta.sum(axis=(0, 1)), W - 0.5 * dW
        losses.append(total / steps)
        shares.append(right / steps)
    assert steps == train.mask.sum()
    np.testing.assert_allclose([line["loss"] for line in run.history], losses, rtol=1e-5)
    np.testing.assert_allclose([line["accuracy"] for line in run.history], shares, rtol=1e-6)
    np.testing.assert_allclose(run.params["embedding_1"]["W"], W, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(run.params["dense_1"]["W"], U, rtol=1e-4, atol=1e-6)


def test_what_stands_in_the_padding_changes_nothing():
    hidden = replace(ragged(), x=np.where(MASK > 0, TOKENS, 5), y=np.where(MASK > 0, TAGS, 2))
    wider = [np.pad(a, ((0, 0), (0, 3))) for a in (TOKENS, TAGS, MASK)]
    wide = replace(ragged(), x=wider[0], y=wider[1], mask=wider[2])
    runs = [fit(experiment(), data) for data in (ragged(), hidden, wide)]
    for other in runs[1:]:
        for line, wanted in zip(other.history, runs[0].history, strict=True):
            for part in (line, line["validation"]):
                whole = wanted if part is line else wanted["validation"]
                assert part["loss"] == pytest.approx(whole["loss"], rel=1e-5)
                assert part["accuracy"] == pytest.approx(whole["accuracy"])
        assert other.result["test"] == pytest.approx(runs[0].result["test"], rel=1e-5)
        for a, b in zip(tree.leaves(other.params), tree.leaves(runs[0].params), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layout", ["one", "cores"])
def test_engines_agree(layout):
    e = experiment(optimizer=bl.Adam(lr=0.02), batch_size=6, epochs=4)
    here, there = fit(e, ragged()), fit(replace(e, engine="xla", layout=layout), ragged())
    for a, b in zip(tree.leaves(here.params), tree.leaves(there.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert there.result["test"] == pytest.approx(here.result["test"], rel=1e-4)
    assert there.history[-1]["validation"] == pytest.approx(here.history[-1]["validation"], rel=1e-4)


def test_real_steps_alone_are_measured():
    run = fit(experiment(), ragged())
    test = setup(run.experiment, ragged()).parts.test
    said, kept = run.predict(test.x, test.mask), test.mask > 0
    assert said.shape == test.y.shape
    right = (said == np.asarray(CLASSES)[test.y])[kept].mean()
    assert run.result["test"]["accuracy"] == pytest.approx(right)
    assert run.evaluate(test) == pytest.approx(run.result["test"])
    assert set(run.result["test"]) == {"loss", "accuracy", "entity_f1"}
    assert run.probabilities(test.x, test.mask).shape == (len(test), T, K)
    mean, spread = run.monte_carlo(test.x, draws=2, mask=test.mask)
    assert mean.shape == (len(test), T, K)
    assert spread.max() < 1e-6


def test_a_label_for_each_row_of_several_lengths():
    """A row counts once, whatever its length."""
    net = bl.Chain(bl.Embedding(V, 4), bl.Flatten(), bl.Dense(K))
    rows = replace(ragged(), y=TAGS[:, 0], classes=("a", "b", "c"))
    e = experiment(net=net, epochs=1)
    ready, run = setup(e, rows), fit(e, rows)
    assert not ready.per_step
    right = (run.predict(ready.parts.test.x) == np.asarray(rows.classes)[ready.parts.test.y]).mean()
    assert run.result["test"]["accuracy"] == pytest.approx(right)


def test_the_mask_reaches_the_layers():
    """WordWindow looks at the mask: what stands in the padding of x must not be seen through it."""
    net = bl.Chain(bl.WordWindow(1), bl.Embedding(V, 4), bl.Reshape((T, 12)), bl.Dense(K))
    hidden = replace(ragged(), x=np.where(MASK > 0, TOKENS, 5))
    runs = [fit(experiment(net=net, engine=engine), data) for engine in ("numpy", "xla") for data in (ragged(), hidden)]
    for other in runs[1:]:
        assert other.history[-1]["loss"] == pytest.approx(runs[0].history[-1]["loss"], rel=1e-5)
        assert other.result["test"]["loss"] == pytest.approx(runs[0].result["test"]["loss"], rel=1e-5)
    unmasked = replace(hidden, mask=None)
    assert fit(experiment(net=net), unmasked).history[-1]["loss"] != pytest.approx(runs[0].history[-1]["loss"])


def test_a_recurrent_tagger_does_not_see_the_padding():
    net = bl.Chain(bl.Embedding(V, 4), bl.Bidirectional(bl.GRU(3)), bl.Dense(K))
    hidden = replace(ragged(), x=np.where(MASK > 0, TOKENS, 5))
    runs = [fit(experiment(net=net), ragged()), fit(experiment(net=net, engine="xla"), hidden)]
    assert runs[0].history[-1]["loss"] == pytest.approx(runs[1].history[-1]["loss"], rel=1e-4)
    assert runs[0].result["test"] == pytest.approx(runs[1].result["test"], rel=1e-4)


def test_steps_without_a_mask_all_count():
    run = fit(experiment(batch_size=6), replace(ragged(), mask=None))
    test = setup(run.experiment, replace(ragged(), mask=None)).parts.test
    right = (run.predict(test.x) == np.asarray(CLASSES)[test.y]).mean()
    assert run.result["test"]["accuracy"] == pytest.approx(right)
    full = fit(experiment(batch_size=6), replace(ragged(), mask=np.ones((N, T))))
    for line, wanted in zip(full.history, run.history, strict=True):
        assert line["loss"] == pytest.approx(wanted["loss"], rel=1e-6)
        assert line["validation"] == pytest.approx(wanted["validation"], rel=1e-6)


@pytest.mark.parametrize(
    ("task", "row", "wanted"),
    [("classification", (3,), False), ("classification", (4, 3), True), ("binary", (1,), False), ("binary", (4, 1), True),
     ("binary", (4,), True), ("multilabel", (3,), False), ("multilabel", (4, 3), True), ("regression", (4, 3), False),
     ("ranking", (3,), False)],
)  # fmt: skip
def test_which_outputs_are_a_decision_each_step(task, row, wanted):
    assert per_step(task, row) == wanted


def test_binary_and_multilabel_sequences():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 4, 3)).astype("f")
    mask = (np.arange(4) < rng.integers(1, 5, 20)[:, None]).astype("f")
    yes = (x[..., 0] > 0).astype(np.int32)
    several = (x[..., :2] > 0).astype("f")
    for loss, y, units in ((bl.BinaryCrossEntropy(), yes, 1), (bl.MultiLabelCrossEntropy(), several, 2)):
        data = Dataset(x, y, ("no", "yes") if units == 1 else (), mask=mask)
        runs = [
            fit(experiment(net=bl.Chain(bl.Dense(units)), loss=loss, epochs=3, engine=engine), data)
            for engine in ("numpy", "xla")
        ]
        ready = setup(runs[0].experiment, data)
        output = runs[0].outputs(ready.parts.test.x, ready.parts.test.mask)
        found = measure(loss.task, *real_steps(loss.task, output, ready.parts.test.y, ready.parts.test.mask))
        assert found == pytest.approx({k: v for k, v in runs[0].result["test"].items() if k != "loss"})
        last = [run.history[-1] for run in runs]
        assert last[0]["accuracy"] == pytest.approx(last[1]["accuracy"])
        assert runs[0].predict(ready.parts.test.x).shape == (len(ready.parts.test), 4, *(2,) * (units - 1))


BAD_MASKS = [
    (MASK[:, :3], r"mask: expected one number a time step, \(29, 7\), got the shape \(29, 3\)"),
    (np.where(np.arange(N)[:, None] == 4, 0.5, MASK), r"mask: row 4, step 0 \(from 0\): expected 1 .* or 0 .*got 0.5"),
    (np.where(np.arange(N)[:, None] == 4, 0.0, MASK), r"mask: row 4 \(from 0\): expected at least one real step"),
]


@pytest.mark.parametrize(("mask", "text"), BAD_MASKS)
def test_masks_that_cannot_be(mask, text):
    with pytest.raises(DataError, match=text):
        ragged(mask=mask).checked()


def test_the_mask_goes_with_its_rows():
    data = ragged()
    np.testing.assert_array_equal(data.take([3, 1]).mask, MASK[[3, 1]])
    assert data.fingerprint() != ragged(mask=None).fingerprint()
    assert data.fingerprint() != ragged(mask=np.ones_like(MASK)).fingerprint()
    for part in SPLIT.apply(data, 0):
        np.testing.assert_array_equal(part.x * part.mask, part.x)


def test_numbers_step_by_step_take_no_mask():
    data = Dataset(np.ones((9, 4, 2), "f"), np.ones((9, 4), "f"), mask=np.ones((9, 4)))
    with pytest.raises(DataError, match="mask: expected none where numbers are to be predicted step by step"):
        setup(experiment(net=bl.Chain(bl.Dense(1), bl.Flatten()), loss=bl.SquaredError()), data)


# Tokens


def test_tokens_stay_integers_and_other_integers_become_numbers():
    assert setup(experiment(), ragged()).parts.train.x.dtype == np.int32
    assert setup(experiment(), ragged(x=TOKENS.astype(np.int64))).parts.train.x.dtype == np.int32
    numbers = Dataset(TOKENS, TAGS[:, 0], CLASSES)
    assert setup(experiment(net=bl.Chain(bl.Dense(K))), numbers).parts.train.x.dtype == np.float32


BAD_TOKENS = [
    (ragged(x=np.where(TOKENS == 5, 6, TOKENS)), {}, DataError, r"x: row \d+, step \d .*a token 0\.\.5 .*vocabulary.*got 6"),
    (ragged(x=TOKENS.astype("f")), {}, DataError, r"expected integers, places in the vocabulary of 6, got float32"),
    (ragged(), {"preprocessing": ("Standardize",)}, SettingError, "preprocessing: expected none, ragged holds tokens"),
    (ragged(), {"augmentation": ({"type": "Noise", "std": 1.0},)}, SettingError, "0: Noise: expected rows of numbers, got"),
    (ragged(), {"net": bl.Chain(bl.Embedding(4, 2), bl.Dense(3))}, DataError, "train part: row .*embedding_1 has 4 rows"),
    (ragged(), {"net": bl.Chain(bl.Embedding(6, 2), bl.Dense(2))}, ShapeError, "net: expected at least 3 outputs"),
    (ragged(), {"net": bl.Chain(bl.Embedding(6, 2), bl.Flatten(), bl.Dense(3))}, ShapeError, r"net: expected outputs \(7, 3\)"),
    (ragged(y=np.full((N, T), 3)), {}, DataError, r"y: row 0, step 0 .*a label 0\.\.2 \(3 classes\), got 3"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "changes", "error", "text"), BAD_TOKENS)
def test_what_does_not_fit_is_said_before_the_first_step(data, changes, error, text):
    with pytest.raises(error, match=text):
        setup(experiment(**changes), data)


def test_rows_to_predict_are_tokens_too():
    run = fit(experiment(epochs=1), ragged())
    assert run.predict(TOKENS[:2].tolist()).shape == (2, T)
    with pytest.raises(DataError, match=r"rows: row 0, step 1 \(from 0\): expected a token 0\.\.5 .*got 6"):
        run.predict([[1, 6, 0, 0, 0, 0, 0]])
    with pytest.raises(DataError, match=r"mask: expected one number a time step, \(1, 7\)"):
        run.predict(TOKENS[:1], np.ones((1, 3)))


def test_arrays_and_npz_hold_sequences(tmp_path):
    given = Arrays(TOKENS.tolist(), TAGS, CLASSES, vocabulary=V, mask=MASK)
    data = given.load()
    assert data.vocabulary == tuple("012345")
    np.savez(tmp_path / "data.npz", x=TOKENS, y=TAGS, classes=CLASSES, vocabulary=data.vocabulary, mask=MASK,
             more=TOKENS[:3], more_y=TAGS[:3], test_mask=MASK[:3])  # fmt: skip
    stored = build(
        bl.data.Source, {"type": "npz", "path": str(tmp_path / "data.npz"), "test_x": "more", "test_y": "more_y"}
    )
    found = stored.load()
    for name in ("x", "y", "mask"):
        np.testing.assert_array_equal(getattr(found, name), getattr(data, name))
        np.testing.assert_array_equal(getattr(found.test, name), getattr(data, name)[:3])
    named = Arrays(TOKENS, np.asarray(CLASSES)[TAGS], CLASSES, vocabulary=V).load()
    np.testing.assert_array_equal(named.y, TAGS)
    with pytest.raises(DataError, match=r"y: row 3 .*'B-LOC' is no class; did you mean 'I-LOC'"):
        Arrays(TOKENS, np.where(np.arange(N)[:, None] == 3, "B-LOC", "O"), CLASSES, vocabulary=V).load()


def test_a_run_in_a_directory(tmp_path, capsys):
    """Stored, read again, reported, and all commands; the data are arrays in memory."""
    data = ragged(x=TOKENS.astype(np.int64))
    run = bl.train(NET, data, directory=tmp_path / "run", epochs=2, batch_size=5, split=SPLIT, engine="numpy")
    again = bl.open_run(tmp_path / "run")
    np.testing.assert_array_equal(again.outputs(TOKENS, MASK), run.outputs(TOKENS, MASK))
    assert again.facts["vocabulary"] == list("-abcde")
    stored = np.load(tmp_path / "run" / "test.npz")
    page = Path(run.report()).read_text()
    assert f"{int(stored['mask'].sum())} steps" in page
    assert "Test entity_f1" in page
    assert ", step " in page
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0
    assert f"accuracy {run.result['test']['accuracy']:.4f}"[:13] in capsys.readouterr().out
    for command in (["show"], ["see", "-n", "3"], ["gradcheck", "-n", "3"]):
        assert cli.main([command[0], str(tmp_path / "run" / "experiment.yaml"), *command[1:]]) == 0
    np.save(tmp_path / "rows.npy", TOKENS[:2])
    assert cli.main(["predict", str(tmp_path / "run"), str(tmp_path / "rows.npy")]) == 0
    assert len(capsys.readouterr().out.splitlines()[-1].split(",")) == T


# Order


def test_streams_go_on_from_batch_to_batch():
    indices, weight = streams_indices(23, 4, 2)
    assert indices.shape == (2, 6, 4)
    assert weight is not None
    assert sorted(indices[0][weight[0] > 0].tolist()) == list(range(23))
    follows = indices[0, 1:] - indices[0, :-1]
    assert (follows[weight[0, 1:] > 0] == 1).all()
    assert (streams_indices(24, 4, 1)[0][0] == np.arange(24).reshape(4, 6).T).all()
    assert streams_indices(24, 4, 1)[1] is None
    with pytest.raises(DataError, match="batch_size: expected at most the 3 training rows"):
        streams_indices(3, 4, 1)


@pytest.mark.parametrize("order", ["given", "streams"])
def test_the_order_of_an_epoch(order):
    e = experiment(order=order)
    ready = setup(e, ragged(ordered=True))
    indices, _ = ready.order(3, 2)
    wanted = np.arange(20).reshape(4, 5) if order == "given" else np.arange(20).reshape(5, 4).T
    assert len(ready.parts.train) == 17
    counted = wanted < 17
    for epoch in indices:
        np.testing.assert_array_equal(epoch[counted], wanted[counted])
    assert (
        build(Experiment, {k: v for k, v in plain(experiment(order=order, data="digits")).items() if k != "type"}).order
        == order
    )


def test_streams_need_rows_that_follow_each_other():
    with pytest.raises(
        SettingError, match=r"order: expected rows that follow each other for streams, .*split.shuffle: false"
    ):
        setup(experiment(order="streams"), ragged())
    assert setup(experiment(order="streams", split=replace(SPLIT, shuffle=False)), ragged()).steps == 8


def test_ordered_rows_are_cut_never_drawn():
    data = Dataset(np.arange(20, dtype="f")[:, None], np.arange(20, dtype="f"), ordered=True)
    train, validation, test = Split(0.2, 0.1).apply(data, seed=9)
    assert [part.y.tolist() for part in (train, validation, test)] == [[*range(14)], [*range(14, 18)], [18, 19]]
    apart = Split(0.2, 0.1).apply(replace(data, overlap=2), seed=9)
    assert [len(part) for part in apart] == [12, 2, 2]
    assert len(Split(0.0, 0.1).apply(replace(data, overlap=2), 0).train) == 16
    with pytest.raises(
        DataError, match="more than 4 rows in a part, as many are left out where it ends, got 14 and 4 and 2"
    ):
        Split(0.2, 0.1).apply(replace(data, overlap=4), 0)
    labels = replace(data, y=np.repeat([0, 1, 0, 1], 5), classes=("a", "b"))
    assert Split(0.2, 0.1).apply(labels, 0).test.x.ravel().tolist() == [18, 19]


def test_a_source_may_bring_its_own_validation_part():
    data = Dataset(np.ones((10, 2), "f"), np.arange(10) % 2, ("a", "b"))
    own = replace(data, validation=data.take([0, 1]), test=data.take([2])).checked()
    assert [len(part) for part in Split().apply(own, 0)] == [10, 2, 1]
    assert [len(part) for part in Split(validation=0).apply(own, 0)] == [10, 0, 1]
    assert [len(part) for part in Split(validation=0, test=0.2).apply(replace(own, test=None), 0)] == [8, 0, 2]
    assert own.fingerprint() != data.fingerprint()
    with pytest.raises(DataError, match="validation rows shaped like the training rows"):
        replace(own, validation=Dataset(np.ones((1, 3), "f"), np.zeros(1, int), ("a", "b"))).checked()
    with pytest.raises(DataError, match="a mask in the validation part where the training part has them"):
        ragged(validation=ragged(mask=None)).checked()


# Ranking


def test_ranking_learns_to_tell_true_from_corrupt():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3, 5)).astype("f")
    x[:, 0] += 1.0
    data = Dataset(x, np.zeros(60, "f"))
    e = experiment(net=bl.Chain(bl.Dense(1), bl.Flatten()), loss=bl.MaxMargin(), epochs=15, optimizer=bl.SGD(lr=0.1))
    here, there = fit(e, data), fit(replace(e, engine="xla"), data)
    test = setup(e, data).parts.test
    assert here.result["test"]["accuracy"] == pytest.approx((here.outputs(test.x).argmax(axis=1) == 0).mean())
    assert here.result["test"]["accuracy"] > 0.8
    assert here.history[-1]["loss"] == pytest.approx(there.history[-1]["loss"], rel=1e-3)
    with pytest.raises(
        ShapeError, match=r"expected outputs \(1 \+ C,\), .* for MaxMargin, got \(3, 1\); end the net with"
    ):
        setup(replace(e, net=bl.Chain(bl.Dense(1))), data)


def test_the_report_of_a_ranking(tmp_path):
    data = Dataset(np.random.default_rng(1).normal(size=(30, 2, 3)).astype("f"), np.zeros(30, "f"))
    run = bl.train(
        bl.Chain(bl.Dense(1), bl.Flatten()), data, "max-margin", directory=tmp_path / "run", epochs=1, engine="numpy",
        batch_size=8,
    )  # fmt: skip
    assert "a guess is right with accuracy 0.5" in Path(run.report()).read_text()
