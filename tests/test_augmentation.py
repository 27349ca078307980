"""Augmentation: what it does to rows, the same on both engines, in training alone, from the step's key by name."""

import colorsys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
import pytest
import scipy.ndimage
import scipy.special
import scipy.stats

import backlit as bl
from backlit.config import Experiment
from backlit.data import CutMix, Dataset, Mixup, Reconstruct
from backlit.data.augmentation import (
    Affine,
    Augmenter,
    Brightness,
    ColourJitter,
    Contrast,
    CutOut,
    Flip,
    Grey,
    Hue,
    Jitter,
    Noise,
    RandAugment,
    RandomCrop,
    RandomErasing,
    RandomResizedCrop,
    Rotate,
    Saturation,
    Shear,
    SwapNoise,
    TimeMasking,
    TokenDropping,
    Translate,
    TrivialAugment,
    Zoom,
    augment_all,
    check_augmentation,
)
from backlit.data.augmentation.policy import WAYS
from backlit.data.augmentation.resampling import moved_by, resampled, sheared
from backlit.data.mixing import mixed
from backlit.data.preview import preview
from backlit.data.views import CentreCrop, FiveCrop, FlipAverage, TenCrop, check_views
from backlit.engine import random, tree
from backlit.errors import DataError, SettingError, ShapeError
from backlit.protocol import Context
from backlit.settings import build, known, plain
from backlit.training.loop import fit
from backlit.training.program import Feed, program
from backlit.training.setup import setup

RNG = np.random.default_rng(2)
BYTES = RNG.integers(1, 256, (9, 6, 5, 3)).astype("u1")
FLOATS = (BYTES / 255).astype("f")
SERIES = RNG.normal(size=(9, 12, 2)).astype("f")
TOKENS = RNG.integers(2, 50, (9, 12)).astype("i4")
TABLE = RNG.normal(size=(9, 4)).astype("f")
KEY = random.key(11)

MOVES = [
    (Flip(), BYTES), (Flip("vertical", 1.0), BYTES), (Flip(), FLOATS), (RandomCrop(), BYTES),
    (RandomCrop(2, "reflect"), FLOATS),
    (CutOut(3), BYTES), (CutOut(4), FLOATS), (RandomErasing(0.9), BYTES), (RandomErasing(0.9, value="random"), BYTES),
    (RandomErasing(0.9, value="random", high=1.0), FLOATS), (RandomErasing(0.9, value="mean"), FLOATS),
    (RandomErasing(0.9, value="mean"), BYTES), (Affine(30, 0.2, 0.2, 20, method="nearest"), BYTES),
    (TokenDropping(0.4), TOKENS), (TokenDropping(0.4, token=7), np.stack([TOKENS, TOKENS], axis=2)),
    (TimeMasking(5), SERIES), (TimeMasking(4, 2, "zero"), SERIES), (Jitter(0.5, 0.1, 2), SERIES), (SwapNoise(0.5), TABLE),
    (SwapNoise(0.5), BYTES),
]  # fmt: skip
"""Augmenters with rows for them whose dtype they keep."""

FLOATING = [
    (Noise(0.5), BYTES), (Noise(0.5), TABLE), (Affine(30, 0.2, 0.2, 20), BYTES), (Affine((10, 20), fill="reflect"), FLOATS),
    (Rotate(), BYTES), (Shear(), BYTES), (Translate(), BYTES), (Zoom(fill="edge"), BYTES), (RandomResizedCrop(), BYTES),
    (Brightness(), BYTES), (Contrast(), BYTES), (Saturation(), BYTES), (Hue(), BYTES), (Grey(0.5), BYTES),
    (ColourJitter(), BYTES), (ColourJitter(high=1.0), FLOATS), (ColourJitter(), BYTES[..., :1]), (RandAugment(), BYTES),
    (RandAugment(3, 20.0, high=1.0), FLOATS), (TrivialAugment(), BYTES[..., :1]),
]  # fmt: skip
"""Those that make floats of bytes."""

EVERY = MOVES + FLOATING
NOTHING = [
    (Flip(rate=0.0), BYTES), (RandomErasing(0.0), BYTES), (Affine(), BYTES), (Rotate(0), BYTES), (Shear(0), BYTES),
    (Translate(0), BYTES), (Zoom(0), BYTES), (RandomResizedCrop((1, 1), (1, 1)), BYTES[:, :5]), (Brightness(0), BYTES),
    (Contrast(0), BYTES), (Saturation(0), BYTES), (Hue(0), BYTES), (Grey(0), BYTES), (ColourJitter(0, 0, 0, 0), BYTES),
    (Noise(0.0), BYTES), (RandAugment(magnitude=0), BYTES), (TokenDropping(0), TOKENS), (TimeMasking(0), SERIES),
    (Jitter(0), SERIES), (SwapNoise(0), TABLE),
]  # fmt: skip
ALWAYS = (Flip("vertical", 1.0),)


def named(table):
    return [pytest.param(a, x, id=f"{a!r} {x.dtype} {x.shape}") for a, x in table]


def test_every_augmenter_is_in_the_table():
    assert {type(a) for a, _ in EVERY} == set(known(Augmenter).values())


SAME = (Rotate, Shear, Translate, Zoom, Brightness, Contrast, Saturation, Hue)
"""Affine and ColourJitter do what these do, with the same functions: to compile them again would show nothing new."""
COMPILED = [
    i for i, (a, x) in enumerate(EVERY) if not isinstance(a, SAME) and type(a) not in {type(b) for b, _ in EVERY[:i]}
]
COMPILED += [i for i, (a, x) in enumerate(EVERY) if getattr(a, "value", "") == "random" and x is BYTES]


@pytest.fixture(scope="module")
def compiled():
    """What XLA makes of them, by one program, compiled in haste."""
    key, rows = KEY, [EVERY[i][1] for i in COMPILED]
    program = jax.jit(lambda key, xs: [EVERY[i][0].apply(key, x) for i, x in zip(COMPILED, xs, strict=True)])
    haste = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    found = program.lower(key, rows).compile(compiler_options=haste)(key, rows)
    return dict(zip(COMPILED, map(np.asarray, found), strict=True))


@pytest.mark.parametrize("place", COMPILED)
def test_engines_agree(place, compiled):
    (a, x), there = EVERY[place], compiled[place]
    here = a.apply(KEY, x)
    assert here.shape == there.shape
    assert here.dtype == there.dtype
    if here.dtype != np.float32:
        np.testing.assert_array_equal(here, there)
    else:
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-3 if x.dtype == np.uint8 else 1e-5)


@pytest.mark.parametrize("place", range(len(EVERY)))
def test_shape_and_dtype_stay_and_bytes_that_are_worked_out_become_floats(place):
    a, x = EVERY[place]
    found = a.apply(KEY, x)
    assert found.shape == x.shape
    assert found.dtype == (x.dtype if place < len(MOVES) else np.float32)


@pytest.mark.parametrize(("a", "x"), named(EVERY))
def test_the_key_decides_and_each_row_by_itself(a, x):
    found = a.apply(KEY, x)
    np.testing.assert_array_equal(a.apply(KEY, x), found)
    if not isinstance(a, SwapNoise):
        # BLAS and NumPy sum fewer rows in another order.
        np.testing.assert_allclose(found[:4], a.apply(KEY, x[:4]), rtol=1e-5, atol=1e-4)
    if a not in ALWAYS:
        assert not np.array_equal(found, a.apply(random.key(12), x))


@pytest.mark.parametrize(("a", "x"), named(EVERY))
def test_settings_go_to_plain_data_and_back(a, x):
    assert build(Augmenter, plain(a)) == a


@pytest.mark.parametrize(("a", "x"), named(NOTHING))
def test_where_nothing_is_asked_for_every_bit_stays(a, x):
    np.testing.assert_array_equal(a.apply(KEY, x), x)


# Geometry


SMOOTH = np.asarray(scipy.ndimage.gaussian_filter(RNG.normal(size=(1, 16, 16, 1)), (0, 2, 2, 0)) * 10, np.float32)
BACK = [
    (Rotate((90, 90)), Rotate((-90, -90)), 1e-4), (Flip(rate=1.0), Flip(rate=1.0), 0),
    (Rotate((180, 180)), Rotate((180, 180)), 1e-4),
    (Flip("vertical", 1.0), Flip("vertical", 1.0), 0), (Hue((0.3, 0.3), high=1.0), Hue((-0.3, -0.3), high=1.0), 1e-5),
    (Rotate((90, 90), method="nearest"), Rotate((270, 270), method="nearest"), 0),
]  # fmt: skip


@pytest.mark.parametrize(("there", "back", "atol"), BACK)
def test_there_and_back(there, back, atol):
    x = RNG.uniform(0, 1, (2, 6, 6, 3)).astype("f")
    moved = there.apply(KEY, x)
    assert not np.allclose(moved, x, atol=0.1)
    np.testing.assert_allclose(back.apply(KEY, moved), x, rtol=0, atol=atol)


def test_quarters_and_whole_pixels():
    x = RNG.integers(0, 256, (2, 6, 6, 3)).astype("f")
    np.testing.assert_allclose(Rotate((90, 90)).apply(KEY, x), np.rot90(x, 1, (1, 2)), atol=1e-3)
    moved = Translate((1 / 3, 1 / 3)).apply(KEY, x)
    np.testing.assert_allclose(moved[:, 2:, 2:], x[:, :-2, :-2], atol=1e-3)
    assert not moved[:, :2].any()
    assert not moved[:, :, :2].any()


@pytest.mark.parametrize(("angle", "size", "lean", "share"), [(25, 1.2, 0, 0), (-70, 0.8, 15, 0.1), (0, 1, -30, -0.2)])
def test_geometry_is_that_of_pillow(angle, size, lean, share):
    """Its transform wants where pixels come from: the inverse of scale, shear, turn and move about the middle."""
    x = SMOOTH[0, :12, :, 0]
    height, width = x.shape
    a, s = np.deg2rad(angle), np.tan(np.deg2rad(lean))
    turn = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])  # x right, y down
    shear, scale = np.array([[1, s, 0], [0, 1, 0], [0, 0, 1]]), np.diag([size, size, 1])

    def move(right, down):
        return np.array([[1, 0, right], [0, 1, down], [0, 0, 1]])

    forth = move(share * width, share * height) @ move(width / 2, height / 2) @ turn @ shear @ scale
    back = np.linalg.inv(forth @ move(-width / 2, -height / 2))
    picture = PIL.Image.fromarray(x)
    wanted = np.asarray(
        picture.transform((width, height), PIL.Image.Transform.AFFINE, back[:2].ravel(), PIL.Image.Resampling.BILINEAR)
    )
    across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    at = np.einsum("ij,jyx->iyx", back, np.stack([across, down, np.ones_like(across)]))
    known = (at[0] > 0.01) & (at[0] < width - 0.01) & (at[1] > 0.01) & (at[1] < height - 0.01)
    fixed = Affine((angle, angle), (share, share), (size, size), (lean, lean), fill="edge")
    found = fixed.apply(KEY, x[None, :, :, None])[0, :, :, 0]
    assert 0.3 < known.mean() <= 1
    np.testing.assert_allclose(found[known], wanted[known], atol=1e-4)


@pytest.mark.parametrize(("fill", "mode"), [("zero", "grid-constant"), ("edge", "nearest"), ("reflect", "mirror")])
def test_what_is_outside_is_that_of_scipy(fill, mode):
    a = Affine(60, 0.8, (0.3, 1.5), 30, fill=fill)
    x = np.repeat(SMOOTH[:, :7, :9], 5, axis=0)
    m = a.map(KEY, x.shape)
    i, j = np.meshgrid(np.arange(7) - 3, np.arange(9) - 4, indexing="ij")
    for row, found in enumerate(a.apply(KEY, x)[..., 0]):
        e = [np.broadcast_to(v, (5,))[row] for v in m]
        at = [e[0] * i + e[1] * j + e[4] + 3, e[2] * i + e[3] * j + e[5] + 4]
        wanted = scipy.ndimage.map_coordinates(x[row, :, :, 0].astype("d"), at, order=1, mode=mode)
        np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_a_resized_crop_has_the_area_and_the_ratio_that_were_asked_for():
    n, height, width = 300, 20, 30
    i, j = np.meshgrid(np.arange(height, dtype="f"), np.arange(width, dtype="f"), indexing="ij")
    x = np.broadcast_to(np.stack([i, j], axis=2), (n, height, width, 2))
    y = RandomResizedCrop((0.2, 0.5), (0.8, 1.25)).apply(KEY, x)
    down = y[:, 11, 0, 0] - y[:, 10, 0, 0]  # old pixels for each new one: the crop's share of the side
    right = y[:, 0, 16, 1] - y[:, 0, 15, 1]
    assert 0.2 - 1e-3 <= (down * right).min() < 0.22
    assert 0.48 < (down * right).max() <= 0.5 + 1e-3
    ratio = right * width / (down * height)
    assert 0.8 - 1e-3 <= ratio.min() < 0.83
    assert 1.2 < ratio.max() <= 1.25 + 1e-3
    middle = (y[:, 9, 0, 0] + y[:, 10, 0, 0]) / 2
    assert (middle - down * height / 2 > -0.5 - 1e-3).all(), "within the image"
    assert (middle + down * height / 2 < height - 0.5 + 1e-3).all()


# Colour


def pictures(x):
    return [PIL.Image.fromarray(row) for row in x]


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.7])
@pytest.mark.parametrize(
    ("kind", "enhancer", "atol"),
    [(Brightness, "Brightness", 1.01), (Contrast, "Contrast", 1.6), (Saturation, "Color", 1.6)],
)
def test_colours_are_those_of_pillow(kind, enhancer, atol, factor):
    found = kind((factor, factor)).apply(KEY, BYTES)
    wanted = [getattr(PIL.ImageEnhance, enhancer)(picture).enhance(factor) for picture in pictures(BYTES)]
    np.testing.assert_allclose(found, np.stack(wanted), rtol=0, atol=atol)  # Pillow rounds means, greys and results


def test_grey_is_that_of_pillow_and_hue_that_of_colorsys():
    wanted = np.stack([np.asarray(picture.convert("L")) for picture in pictures(BYTES)])[..., None]
    np.testing.assert_allclose(Grey(1.0).apply(KEY, BYTES), np.broadcast_to(wanted, BYTES.shape), atol=0.51)
    found = Hue((0.2, 0.2), high=1.0).apply(KEY, FLOATS)
    for old, new in zip(FLOATS.reshape(-1, 3), found.reshape(-1, 3), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*old)
        np.testing.assert_allclose(new, colorsys.hsv_to_rgb((h + 0.2) % 1, s, v), atol=1e-5)


def test_floats_must_say_how_far_they_go():
    with pytest.raises(SettingError, match=r"high: expected the largest value .* write high: 1\.0"):
        Brightness().apply(KEY, FLOATS)
    with pytest.raises(ShapeError, match="ColourJitter: expected images of 1 or 3 channels"):
        ColourJitter().apply(KEY, BYTES[..., :2])
    ctx = Context(train=True, root=KEY, path=(0,))
    found = augment_all([Noise(0.0), Brightness((2.0, 2.0))], ctx, BYTES)
    np.testing.assert_array_equal(found, np.minimum(2.0 * BYTES, 255), "bytes that became floats still end at 255")


# Erasing, policies


def test_an_erased_rectangle():
    x = np.ones((400, 12, 10, 2), "f")
    gone = RandomErasing(0.7, (0.1, 0.3), (0.5, 2.0)).apply(KEY, x)[..., 0] == 0
    hit = gone.any(axis=(1, 2))
    assert 0.63 < hit.mean() < 0.77
    rows, columns = gone.any(axis=2).sum(axis=1), gone.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(gone.sum(axis=(1, 2)), rows * columns)
    area = (rows * columns / 120)[hit]
    assert 0.06 < area.min() < 0.12
    assert 0.26 < area.max() < 0.36
    assert gone.any(axis=0).all(), "every place"
    filled = RandomErasing(1.0, (0.5, 0.5), value="mean").apply(KEY, FLOATS)
    changed = filled != FLOATS
    means = np.broadcast_to(FLOATS.mean(axis=(1, 2), keepdims=True), FLOATS.shape)
    np.testing.assert_allclose(filled[changed], means[changed], rtol=1e-5)


def test_an_image_of_a_policy_is_one_of_its_ways():
    """Each against the augmenter of that way, or Pillow."""
    x = np.broadcast_to(RNG.integers(0, 256, (1, 6, 8, 3)).astype("u1"), (200, 6, 8, 3))
    one, m, ways = x[:1], 0.5, {"identity": [x[:1]]}
    for side in (-1, 1):
        turn, slope, share, factor = side * m * 30, side * m * 0.3, side * m * 150 / 331, 1 + side * m * 0.9
        lean = np.rad2deg(np.arctan(slope))
        shear = resampled(one, sheared(0.0, np.asarray([slope], "f")))
        moves = [moved_by(0.0, np.asarray([share * 8], "f")), moved_by(np.asarray([share * 6], "f"), 0.0)]
        more = {
            "rotate": Rotate((turn, turn)).apply(KEY, one), "shear_right": Shear((lean, lean)).apply(KEY, one),
            "shear_down": shear, "move_right": resampled(one, moves[0]), "move_down": resampled(one, moves[1]),
            "brightness": Brightness((factor, factor)).apply(KEY, one), "contrast": Contrast((factor, factor)).apply(KEY, one),
            "saturation": Saturation((factor, factor)).apply(KEY, one),
        }  # fmt: skip
        for name, y in more.items():
            ways.setdefault(name, []).append(y)
    picture = PIL.Image.fromarray(one[0])
    ways["solarize"] = [np.asarray(PIL.ImageOps.solarize(picture, 128))[None]]
    ways["posterize"] = [np.asarray(PIL.ImageOps.posterize(picture, 6))[None]]
    found, met = RandAugment(1, 15.0).apply(KEY, x), set()
    for y in found:
        near = [name for name, made in ways.items() if any(np.allclose(y, z[0], atol=1e-2) for z in made)]
        assert near, "an image that no way makes"
        met.update(near)
    assert met == set(WAYS)
    twice = RandAugment(2, 15.0).apply(KEY, x)
    assert not all(any(np.allclose(y, z[0], atol=1e-2) for made in ways.values() for z in made) for y in twice)


# Sequences and tables


def test_dropped_tokens_are_unknown_and_padding_stays():
    tokens = np.full((200, 10, 2), 9, "i4")
    found = TokenDropping(0.3).apply(KEY, tokens)
    assert set(np.unique(found[..., 0])) == {1, 9}
    assert (found[..., 1] == 9).all(), "how a word is written stays"
    assert 0.26 < (found[..., 0] == 1).mean() < 0.34
    mask = np.arange(10) < np.arange(200)[:, None] % 10 + 1
    masked = augment_all([TokenDropping(1.0)], Context(train=True, root=KEY, path=(0,)), tokens, mask.astype("f"))
    np.testing.assert_array_equal(masked[..., 0] == 1, mask)


def test_a_masked_stretch():
    x = RNG.normal(size=(500, 9, 2)).astype("f")
    found = TimeMasking(4).apply(KEY, x)
    gone = (found != x).any(axis=2)
    lengths = gone.sum(axis=1)
    assert set(lengths) == {0, 1, 2, 3, 4}
    assert (np.abs(np.diff(np.pad(gone.astype(int), ((0, 0), (1, 1))), axis=1)).sum(axis=1) == 2 * (lengths > 0)).all()
    assert gone.any(axis=0).all()
    means = np.broadcast_to(x.mean(axis=1, keepdims=True), x.shape)
    np.testing.assert_allclose(found[gone], means[gone], rtol=1e-5, atol=1e-6)


def test_a_series_is_shaken():
    x = np.broadcast_to(np.arange(1.0, 41.0, dtype="f")[:, None], (600, 40, 2))
    assert (Jitter(0.5).apply(KEY, x) - x).std() == pytest.approx(0.5, rel=0.03)
    factors = Jitter(0.0, scaling=0.2).apply(KEY, x) / x
    assert factors.std() == pytest.approx(0.2, rel=0.1)
    assert np.ptp(factors, axis=1).max() < 1e-5
    moves = Jitter(0.0, shift=3).apply(KEY, x)[:, 20, 0] - 21
    assert set(moves) == {-3, -2, -1, 0, 1, 2, 3}


def test_a_swapped_cell_comes_from_its_column():
    x = np.arange(40.0, dtype="f")[:, None] + np.array([0, 100, 200], "f")
    found = SwapNoise(0.5).apply(KEY, x)
    np.testing.assert_array_equal(found // 100, x // 100)
    assert 0.35 < (found != x).mean() < 0.65
    assert (SwapNoise(1.0).apply(KEY, x) != x).all()
    np.testing.assert_array_equal(SwapNoise(1.0).apply(KEY, x[:1]), x[:1])


WRONG = [
    (Flip(), TOKENS, r"Flip: expected images, .* got tokens; leave it out"),
    (Noise(1.0), TOKENS, r"Noise: expected rows of numbers, got tokens; leave it out, or write TokenDropping"),
    (TokenDropping(), TABLE, r"TokenDropping: expected tokens, .* got rows of shape \(4,\)"),
    (
        TimeMasking(),
        TABLE,
        r"TimeMasking: expected sequences of numbers, rows of shape \(T, D\), got rows of shape \(4,\)",
    ),
    (TokenDropping(token=60), TOKENS, r"token: expected a place in the vocabulary, 0 to 49, got 60"),
    (TokenDropping(), TOKENS, r"token: .* since the vocabulary has no <unknown>, got none"),
    (Hue(), FLOATS, r"high: expected the largest value"),
]


@pytest.mark.parametrize(("a", "x", "text"), WRONG)
def test_what_does_not_fit_says_what_it_is_for(a, x, text):
    with pytest.raises(SettingError, match=rf"augmentation\.1\.?.*{text}"):
        check_augmentation(
            [SwapNoise() if x is not TOKENS else TokenDropping(token=0), a], x[:1], tuple(map(str, range(50)))
        )
    check_augmentation([TokenDropping()], TOKENS[:1], ("<pad>", "<unknown>", *map(str, range(48))))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"type": "Rotate", "degrees": [20, 10]}, r"degrees: expected a pair \(from, to\), the smaller number first"),
        ({"type": "Zoom", "by": 1.5}, r"by: expected numbers from 0.01 to 100, got -0.5 to 2.5"),
        ({"type": "Shear", "degrees": [0, 90]}, r"degrees: expected numbers from -89 to 89, got 0 to 90"),
        ({"type": "Brightness", "by": 1.2}, r"by: expected numbers of at least 0, got -0.2 to 2.2"),
        ({"type": "RandAugment", "magnitude": 31}, "magnitude: expected a number less than or equal to 30, got 31"),
    ],
)
def test_wrong_settings(settings, text):
    with pytest.raises(SettingError, match=text):
        build(Augmenter, settings)


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
    shares = np.array([float(mixing.share(random.fold(random.key(0), i))) for i in range(700)])
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


# Views and previews


def test_the_views_of_a_row_follow_each_other():
    x = RNG.normal(size=(3, 5, 6, 2)).astype("f")
    ten = TenCrop(3).apply(x).reshape(3, 10, 3, 3, 2)
    corners = [x[:, :3, :3], x[:, :3, 3:], x[:, 2:, :3], x[:, 2:, 3:], x[:, 1:4, 1:4]]
    for i, corner in enumerate(corners):
        np.testing.assert_array_equal(ten[:, i], corner)
        np.testing.assert_array_equal(ten[:, 5 + i], corner[:, :, ::-1])
    np.testing.assert_array_equal(CentreCrop(3).apply(x), corners[4])
    np.testing.assert_array_equal(FlipAverage().apply(x)[1::2], x[:, :, ::-1])


def test_what_the_views_say_is_averaged_as_probabilities():
    y = RNG.normal(size=(12, 4)) * 3
    p = scipy.special.softmax(y, axis=1).reshape(3, 4, 4).mean(axis=1)
    found = FlipAverage().averaged("classification", y, 3)
    np.testing.assert_allclose(scipy.special.softmax(found, axis=1), p, rtol=1e-12)
    for task in ("binary", "multilabel"):
        p = scipy.special.expit(y).reshape(3, 4, 4).mean(axis=1)
        np.testing.assert_allclose(scipy.special.expit(FlipAverage().averaged(task, y, 3)), p, rtol=1e-12)
    np.testing.assert_allclose(FlipAverage().averaged("regression", y, 3), y.reshape(3, 4, 4).mean(axis=1))
    sure = FlipAverage().averaged("binary", np.array([[800.0], [800.0]]), 1)
    assert sure[0, 0] == pytest.approx(800.0), "nothing overflows"


def test_a_net_must_take_what_it_is_shown():
    flat = bl.Chain(bl.Flatten(), bl.Dense(3))
    _, params, _ = flat.init(random.key(0), (6, 6, 1))
    check_views(FlipAverage(), flat, params, (6, 6, 1))
    with pytest.raises(
        ShapeError, match=r"CentreCrop: expected a net that takes rows of shape \(4, 4, 1\) .*dense_1\.W"
    ):
        check_views(CentreCrop(4), flat, params, (6, 6, 1))
    with pytest.raises(ShapeError, match="at least 7 x 7 pixels, got 6 x 6; use a smaller size"):
        FiveCrop(7).apply(np.zeros((1, 6, 6, 1)))
    with pytest.raises(ShapeError, match="FlipAverage: expected images"):
        FlipAverage().apply(TABLE)


def test_a_sheet_of_images_shows_them_before_and_after(tmp_path):
    data = Dataset(BYTES, np.zeros(9, "i4"), ("a",), name="images")
    path = preview(data, [Flip(rate=1.0)], tmp_path / "new" / "sheet.png", rows=2, copies=1)
    sheet = np.asarray(PIL.Image.open(path).convert("RGB")).astype(int)
    height, width = sheet.shape[:2]
    cells = {}
    for row, x in ((0, BYTES[0]), (1, BYTES[8])):
        for column, image in (("before", x), ("after", x[:, ::-1])):
            cells[row, column] = [tuple(image[i, j]) for i in range(6) for j in range(5)]
    seen = {tuple(pixel) for pixel in sheet.reshape(-1, 3)}
    for cell in cells.values():
        assert sum(tuple(map(int, pixel)) in seen for pixel in cell) == 30
    half = {tuple(pixel) for pixel in sheet[:, : width // 2].reshape(-1, 3)}
    assert all(tuple(map(int, pixel)) in half for pixel in cells[0, "before"])
    assert height > 100


@pytest.mark.parametrize(
    ("data", "augmenters"),
    [
        (Dataset(SERIES, np.zeros(9, "f"), name="series"), [Jitter()]),
        (Dataset(TABLE, np.zeros(9, "f"), features=("a", "b", "c", "$d$")), [SwapNoise()]),
        (
            Dataset(TOKENS, np.zeros(9, "f"), vocabulary=("<pad>", "<unknown>", *(f"w{i}" for i in range(48)))),
            [TokenDropping()],
        ),
    ],
    ids=["series", "table", "tokens"],
)
def test_other_rows_have_sheets_too(data, augmenters, tmp_path):
    sizes = []
    for rows in (2, 4):
        with PIL.Image.open(preview(data, augmenters, tmp_path / f"{rows}.png", rows=rows, copies=2)) as sheet:
            sizes.append(sheet.size)
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] < sizes[1][1]
    with pytest.raises(SettingError, match="expected at least one augmenter"):
        preview(data, [], tmp_path / "none.png")
    with pytest.raises(SettingError, match=r"augmentation\.0: Flip: expected images"):
        preview(data, [Flip()], tmp_path / "none.png")
