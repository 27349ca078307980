"""Augmentation: what it does to rows, the same on both engines, in training alone, from the step's key by name."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import backlit as bl
from backlit import engine as engines
from backlit.config import Experiment
from backlit.data import Augmenter, CutMix, CutOut, Dataset, Flip, Mixup, Noise, RandomCrop, Reconstruct, augment_all
from backlit.data.mixing import mixed
from backlit.engine import random, tree
from backlit.errors import DataError, SettingError, ShapeError
from backlit.protocol import Context
from backlit.settings import build, known, plain
from backlit.training.loop import fit
from backlit.training.program import Feed, program
from backlit.training.setup import setup

EVERY = [
    Flip(),
    Flip("vertical", 1.0),
    RandomCrop(),
    RandomCrop(2, "reflect"),
    CutOut(3),
    CutOut(4),
    Noise(0.5),
    Noise(0.0),
]
RNG = np.random.default_rng(2)
BYTES = RNG.integers(1, 256, (9, 6, 5, 3)).astype("u1")
KEY = random.key(11)


def test_every_augmenter_is_in_the_table():
    assert {type(a) for a in EVERY} == set(known(Augmenter).values())


@pytest.mark.parametrize("x", [BYTES, (BYTES / 255).astype("f")], ids=["bytes", "floats"])
@pytest.mark.parametrize("a", EVERY, ids=repr)
def test_engines_agree_and_shape_and_dtype_stay(a, x):
    xla = engines.get("xla")
    here, there = a.apply(KEY, x), np.asarray(xla.compile(a.apply)(*xla.place((KEY, x))))
    assert here.shape == there.shape == x.shape
    assert here.dtype == there.dtype == (np.float32 if isinstance(a, Noise) else x.dtype)
    if isinstance(a, Noise):
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("a", EVERY, ids=repr)
def test_the_key_decides_and_each_row_by_itself(a):
    np.testing.assert_array_equal(a.apply(KEY, BYTES), a.apply(KEY, BYTES))
    np.testing.assert_array_equal(a.apply(KEY, BYTES)[:4], a.apply(KEY, BYTES[:4]))
    if a not in (Noise(0.0), Flip("vertical", 1.0)):
        assert not np.array_equal(a.apply(KEY, BYTES), a.apply(random.key(12), BYTES))


@pytest.mark.parametrize("a", EVERY, ids=repr)
def test_settings_go_to_plain_data_and_back(a):
    assert build(Augmenter, plain(a)) == a


@pytest.mark.parametrize(("axis", "number"), [("horizontal", 2), ("vertical", 1)])
def test_a_flip_mirrors_some_rows_whole(axis, number):
    x = RNG.integers(0, 256, (400, 3, 4, 1)).astype("u1")
    found, mirrored = Flip(axis, 0.25).apply(KEY, x), np.flip(x, axis=number)
    same = (found == x).all(axis=(1, 2, 3))
    assert ((found == mirrored).all(axis=(1, 2, 3)) | same).all()
    assert 0.18 < 1 - same.mean() < 0.32
    np.testing.assert_array_equal(Flip(axis, 0.0).apply(KEY, x), x)
    np.testing.assert_array_equal(Flip(axis, 1.0).apply(KEY, x), mirrored)


@pytest.mark.parametrize(("fill", "mode"), [("zero", "constant"), ("reflect", "reflect")])
def test_a_crop_is_cut_from_a_padded_image(fill, mode):
    p, x = 2, RNG.integers(1, 256, (600, 5, 4, 2)).astype("u1")
    found = RandomCrop(p, fill).apply(KEY, x)
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), mode=mode)
    places = {(i, j): padded[:, i : i + 5, j : j + 4] for i in range(2 * p + 1) for j in range(2 * p + 1)}
    hits = {place: (found == cut).all(axis=(1, 2, 3)) for place, cut in places.items()}
    assert np.any(list(hits.values()), axis=0).all()
    shares = [hit.mean() for hit in hits.values()]
    assert min(shares) > 0.01, "every one of the 25 places is drawn"
    assert max(shares) < 0.09


def test_a_cut_is_a_square_of_zeros():
    x = np.ones((500, 7, 6, 2), "f")
    found = CutOut(3).apply(KEY, x)
    gone = found[..., 0] == 0
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    rows, columns = gone.any(axis=2).sum(axis=1), gone.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(gone.sum(axis=(1, 2)), rows * columns)
    assert rows.max() == columns.max() == 3
    assert rows.min() == columns.min() == 2, "at the edge it is cut off"
    middles = gone[(rows == 3) & (columns == 3)]
    assert {tuple(np.argwhere(m)[4]) for m in middles} == {(i, j) for i in range(1, 6) for j in range(1, 5)}


def test_noise_is_normal():
    x = Noise(3.0).apply(KEY, np.full((2000, 4), 10, "u1")) - 10
    assert abs(float(x.mean())) < 0.1
    assert float(x.std()) == pytest.approx(3.0, rel=0.03)


def test_a_draw_depends_on_step_and_name_alone():
    def drawn(augmenters, step=0):
        return augment_all(augmenters, Context(train=True, root=KEY, path=(step,)), BYTES)

    noise = drawn([Noise(1.0)]) - BYTES
    np.testing.assert_allclose(drawn([Flip(rate=0.0), Noise(1.0)]) - BYTES, noise)
    assert not np.allclose(drawn([Noise(1.0)], step=1) - BYTES, noise)
    second = drawn([Noise(0.0), Noise(1.0)]) - BYTES
    assert not np.allclose(second, noise), "a second one of a kind draws for itself"


# In training


IMAGES = (RNG.integers(0, 256, (40, 6, 6, 1)) * (np.arange(6) < 3)[:, None]).astype("u1")
LABELS = RNG.integers(0, 2, 40).astype(np.int32)
IMAGES[LABELS == 1] = IMAGES[LABELS == 1][:, :, ::-1] // 2
DATA = Dataset(IMAGES, LABELS, ("a", "b"), name="images")


def experiment(**changes) -> Experiment:
    fields = {"data": "digits", "net": bl.Chain(bl.Flatten(), bl.Dense(2)), "loss": bl.SoftmaxCrossEntropy(),
              "preprocessing": (bl.Scale(),), "batch_size": 8, "epochs": 3, "engine": "numpy"}  # fmt: skip
    return Experiment(**fields | changes)


def test_a_batch_is_augmented_before_the_preprocessing():
    e = experiment(augmentation=(Flip(rate=1.0), CutOut(2)))
    ready = setup(e, DATA)
    train, rows = ready.parts.train, np.array([3, 1, 4])
    step = np.asarray(6, np.int32)
    feed = Feed(train.x, train.y, None, ready.prepared, (), None, None, step, KEY)
    got = program(e, ready.params, 10).batch(step, feed, rows, None).x
    key = random.fold(random.fold(KEY, step), "augmentation.cutout_1")
    np.testing.assert_allclose(got, CutOut(2).apply(key, train.x[rows][:, :, ::-1]) / np.float32(255), rtol=1e-6)


@pytest.mark.parametrize("layout", ["one", "cores"])
def test_engines_train_alike(layout):
    e = experiment(augmentation=(Flip(), RandomCrop(1), Noise(5.0)))
    here, there = fit(e, DATA), fit(replace(e, engine="xla", layout=layout), DATA)
    for a, b in zip(tree.leaves(here.params), tree.leaves(there.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert fit(replace(e, augmentation=()), DATA).history[-1]["loss"] != pytest.approx(here.history[-1]["loss"])


def test_held_out_rows_stay_as_they_are():
    """Everything becomes 0 in training, so nothing is learned but the bias; validation and test rows are whole."""
    blind = experiment(augmentation=(CutOut(100),), optimizer=bl.SGD(lr=0.1))
    run = fit(blind, DATA)
    W = setup(blind, DATA).params["dense_1"]["W"]
    np.testing.assert_array_equal(run.params["dense_1"]["W"], W)
    spread = run.outputs(IMAGES)[:, 0].std()
    assert spread > 0.01
    lines = [line["validation"]["loss"] for line in run.history]
    whole = bl.SoftmaxCrossEntropy()(
        run.outputs(setup(blind, DATA).parts.validation.x), setup(blind, DATA).parts.validation.y
    )
    assert min(lines) == pytest.approx(float(whole[0]), rel=1e-5)


BAD = [
    ((Flip(),), r"augmentation\.0: Flip: expected images, .*got rows of shape \(64,\)"),
    ((Noise(1.0), RandomCrop(3, "reflect")), r"augmentation\.1: RandomCrop: expected images"),
]


@pytest.mark.parametrize(("augmentation", "text"), BAD)
def test_what_does_not_fit_is_said_before_the_first_step(augmentation, text):
    with pytest.raises(SettingError, match=text):
        setup(experiment(augmentation=augmentation))


def test_a_mirrored_border_is_narrower_than_the_image():
    with pytest.raises(ShapeError, match=r"wider and higher than the padding 6, got \(6, 5, 3\)"):
        RandomCrop(6, "reflect").apply(KEY, BYTES)


def test_an_experiment_with_augmentation_goes_through_a_file(tmp_path):
    e = experiment(augmentation=({"type": "RandomCrop", "padding": 2}, "Flip"))
    assert e.augmentation == (RandomCrop(2), Flip())
    bl.config.write(e, tmp_path / "e.yaml")
    assert bl.config.load(tmp_path / "e.yaml") == e


# Autoencoders


def autoencoder(**changes) -> Experiment:
    fields = {"data": Reconstruct("digits"), "net": bl.Chain(bl.Dense(12), bl.ReLU(), bl.Dense(64)),
              "loss": bl.SquaredError(), "preprocessing": (bl.Scale(1 / 16),), "target_preprocessing": (bl.Scale(1 / 16),),
              "batch_size": 64, "epochs": 12, "optimizer": bl.Adam(lr=0.01), "engine": "numpy"}  # fmt: skip
    return Experiment(**fields | changes)


def test_an_autoencoder_gives_back_what_it_sees():
    run = fit(autoencoder())
    test = setup(autoencoder()).parts.test
    assert run.predict(test.x).shape == test.x.shape
    rmse = float(np.sqrt(((run.predict(test.x) - test.x) ** 2).mean()))
    assert run.result["test"]["rmse"] == pytest.approx(rmse, rel=1e-4)
    assert rmse < 0.75 * test.x.std(), "in the units of the pixels"


def test_the_targets_of_a_denoising_autoencoder_stay_clean():
    e = autoencoder(augmentation=(Noise(4.0),))
    ready = setup(e)
    step, train = np.asarray(0, np.int32), ready.parts.train
    feed = Feed(train.x, train.y, None, ready.prepared, ready.target_prepared, None, None, step, KEY)
    batch = program(e, ready.params, 10).batch(step, feed, np.arange(50), None)
    np.testing.assert_allclose(batch.y, train.x[:50] / 16, rtol=1e-6)
    assert float((batch.x - batch.y).std()) == pytest.approx(4 / 16, rel=0.1)
    assert fit(replace(e, epochs=2)).history[-1]["loss"] < fit(replace(e, epochs=1)).history[0]["loss"]


def test_images_and_probabilities(tmp_path):
    """Image in, flat out; pixels as probabilities: MultiLabelCrossEntropy on targets of 0..1."""
    e = autoencoder(
        data=Reconstruct({"type": "digits", "image": True}), net=bl.Chain(bl.Flatten(), bl.Dense(8), bl.Dense(64)),
        loss=bl.MultiLabelCrossEntropy(), epochs=2,
    )  # fmt: skip
    run = fit(e, directory=tmp_path / "run")
    test = setup(e).parts.test
    p = run.probabilities(test.x)
    share = test.x.reshape(-1, 64) / 16
    loss = -(share * np.log(p) + (1 - share) * np.log(1 - p)).sum(axis=1).mean()
    assert run.result["test"]["loss"] == pytest.approx(loss, rel=1e-4)
    assert run.report().exists()
    with pytest.raises(DataError, match="expected 0, 1, or a probability between them"):
        setup(replace(e, target_preprocessing=()))


def test_tokens_are_not_reconstructed():
    tokens = bl.Arrays([[1, 0], [0, 1]], [0, 1], vocabulary=2)
    with pytest.raises(DataError, match="expected rows of numbers, got tokens"):
        Reconstruct(tokens).load()


# Mixing


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_drawn_from_the_beta_distribution(alpha):
    mixing = Mixup(alpha=alpha)
    shares = np.array([float(mixing.share(random.fold(random.key(0), i))) for i in range(2000)])
    assert scipy.stats.kstest(shares, scipy.stats.beta(alpha, alpha).cdf).pvalue > 0.01
    assert np.mean([mixing_share == 1.0 for mixing_share in shares]) < 0.3
    seldom = Mixup(alpha=alpha, rate=0.3)
    stays = np.mean([float(seldom.share(random.fold(random.key(1), i))) == 1.0 for i in range(500)])
    assert stays > 0.6


def test_cutmix_gives_each_pixel_to_one_of_two_and_counts_them():
    x = np.arange(4, dtype="f")[:, None, None, None] + np.zeros((4, 7, 5, 2), "f")
    shares = []
    for i in range(40):
        mixed, share = CutMix().mix(random.fold(random.key(2), i), x)
        own = mixed == x
        assert np.all(own | (mixed == x[::-1]))
        np.testing.assert_allclose(own.mean(axis=(1, 2, 3)), float(share), rtol=1e-6)
        shares.append(float(share))
    assert min(shares) < 0.4
    assert max(shares) > 0.9


@pytest.mark.parametrize("mixing", [Mixup(alpha=0.4), CutMix()], ids=lambda m: type(m).__name__)
def test_mixing_is_the_same_on_both_engines(mixing):
    x = np.random.default_rng(0).normal(size=(6, 5, 4, 3)).astype("f")
    key = random.key(9)
    here, share = mixing.mix(key, x)
    there, other = jax.jit(mixing.mix)(jnp.asarray(key), jnp.asarray(x))
    np.testing.assert_allclose(share, other, rtol=1e-6)
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "target"),
    [(bl.SoftmaxCrossEntropy(), np.eye(3)[[0, 2, 1, 1]]), (bl.losses.SquaredError(), np.arange(12.0).reshape(4, 3))],
)
def test_the_gradient_of_a_mixed_loss_is_that_of_a_mixed_target(loss, target):
    y = np.random.default_rng(1).normal(size=(4, 3))
    _, dy = mixed(loss, np.float64(0.3))(y, target)
    _, wanted = loss(y, 0.3 * target + 0.7 * target[::-1])
    np.testing.assert_allclose(dy, wanted, rtol=1e-12)


def test_a_training_mixes_and_goes_through_a_file():
    given = {"epochs": 3, "engine": "numpy", "optimizer": bl.SGD(lr=0.2)}
    runs = [bl.train(bl.Chain(bl.Dense(3)), "iris", mixing=m, **given) for m in (None, bl.Mixup(alpha=1.0))]
    assert abs(runs[0].params["dense_1"]["W"] - runs[1].params["dense_1"]["W"]).max() > 0.01
    assert bl.config.from_plain(runs[1].experiment.to_plain()) == runs[1].experiment


def test_rows_that_cannot_be_mixed():
    with pytest.raises(ShapeError, match=r"CutMix: expected images .* got rows of shape \(4,\); use Mixup"):
        bl.train(bl.Chain(bl.Dense(3)), "iris", mixing=bl.CutMix(), engine="numpy")
    tokens = Dataset(np.zeros((9, 4), "i4"), np.arange(9) % 3, ("a", "b", "c"), vocabulary=("x", "y"))
    with pytest.raises(SettingError, match="mixing: expected rows of numbers that are all real, got tokens"):
        bl.train(
            bl.Chain(bl.Embedding(2, 2), bl.Flatten(), bl.Dense(3)),
            tokens,
            mixing=bl.Mixup(),
            engine="numpy",
            batch_size=2,
        )
