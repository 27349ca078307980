"""What every augmenter is, how it draws, and how a batch passes through several."""

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from annotated_types import Interval

from backlit.engine import random
from backlit.errors import SettingError, ShapeError
from backlit.protocol import Array, Context
from backlit.settings import NonNegative, Settings, filled

Share = Annotated[float, Interval(ge=0, le=1)]

Spread: TypeAlias = NonNegative | tuple[float, float]
"""What a number is drawn from, evenly: up to so much on both sides of what changes nothing, or a pair (from, to)."""

Kind: TypeAlias = Literal["images", "sequences", "tokens", "numbers"]

KINDS: dict[Kind, str] = {
    "images": "images, rows of shape (height, width, channels)",
    "sequences": "sequences of numbers, rows of shape (T, D)",
    "tokens": "tokens, rows that a vocabulary tells the meaning of",
    "numbers": "rows of numbers",
}
HINTS: dict[Kind, str] = {
    "images": "leave it out, or choose image: true where a source has it",
    "sequences": "leave it out",
    "tokens": "leave it out",
    "numbers": "leave it out, or write TokenDropping",
}
BYTES = 255.0
"""The largest value of a pixel that is a byte."""


@dataclass(frozen=True)
class Augmenter(Settings):
    """Base of all augmentation: settings only, the key comes with the batch.

    Row b draws the numbers b n .. b n + n - 1 of the key, whatever else is in the batch: another row's content and the size
    of the batch change nothing (but for SwapNoise, which needs another row). The key is that of the step, folded by the
    augmenter's name; the step and b tell which epoch and which row it is, so a draw is a function of seed, epoch and row
    for a given batch size. A key for each row would make this hold for all batch sizes, and cost a fold for each row.
    """

    abstract: ClassVar[bool] = True
    rows: ClassVar[Kind] = "images"
    """What it takes."""

    @abstractmethod
    def apply(self, key: Array, x: Array) -> Array:
        """The rows x (B, ...), changed; the shape stays."""

    def fits(self, row: Array, vocabulary: Sequence[str]) -> None:
        """ShapeError or SettingError unless rows like `row` (1, ...) can be changed."""
        if self.rows not in kinds(row):
            raise unfit(self, row)


def augment_all(augmenters: Sequence[Augmenter], ctx: Context, x: Array, mask: Array | None = None) -> Array:
    """Rows of a training batch after each augmenter; a draw is a function of the step's key and the augmenter's name
    (flip_1, flip_2, ...), so another augmenter changes no draw. Where `mask` (B, T) is 0, padding stays as it is."""
    before, count = x, Counter[str]()
    for augmenter in ranged(augmenters, x):
        kind = type(augmenter).__name__.lower()
        count[kind] += 1
        # A layer's name holds no dot, so none draws with this key.
        x = augmenter.apply(ctx.at(f"augmentation.{kind}_{count[kind]}").key, x)
    if mask is None or x is before:
        return x
    xp = x.__array_namespace__()
    return xp.where(xp.reshape(mask, (*mask.shape, *(1,) * (x.ndim - 2))) > 0, x, xp.astype(before, x.dtype))


def check_augmentation(augmenters: Sequence[Augmenter], row: Array, vocabulary: Sequence[str] = ()) -> None:
    """SettingError, with the place in the list, for an augmenter that does not fit rows like `row` (1, ...)."""
    for i, augmenter in enumerate(ranged(augmenters, row)):
        try:
            augmenter.fits(row, vocabulary)
            row = augmenter.apply(random.key(0), row)
        except ShapeError as error:
            raise SettingError([(f"augmentation.{i}", str(error))]) from None
        except SettingError as error:
            raise error.under(f"augmentation.{i}") from None


def ranged(augmenters: Sequence[Augmenter], x: Array) -> tuple[Augmenter, ...]:
    """The same, told that pixels end at 255 where the rows come as bytes: what follows the first may see floats."""
    if x.dtype != x.__array_namespace__().uint8:
        return tuple(augmenters)
    return tuple(filled(augmenter, high=BYTES) for augmenter in augmenters)


def brightest(high: float | None, x: Array) -> float:
    """The largest value that a pixel of x can have: `high`, or 255 for bytes; SettingError when nobody says."""
    if high is None and x.dtype != x.__array_namespace__().uint8:
        text = "expected the largest value that a pixel can have, since these are floats and not bytes, got none"
        raise SettingError([("high", f"{text}; write high: 1.0 where pixels go from 0 to 1")])
    return BYTES if high is None else high


def kinds(x: Array) -> tuple[Kind, ...]:
    """What rows x (B, ...) may be taken for. Tokens alone are int32 in a training."""
    if x.dtype == x.__array_namespace__().int32:
        return ("tokens",)
    named: dict[int, tuple[Kind, ...]] = {3: ("sequences", "numbers"), 4: ("images", "numbers")}
    return named.get(x.ndim, ("numbers",))


def unfit(augmenter: Augmenter, x: Array) -> ShapeError:
    """What is wrong with rows x for this augmenter."""
    tokens = kinds(x) == ("tokens",) and augmenter.rows != "tokens"
    got = "tokens" if tokens else f"rows of shape {tuple(x.shape[1:])}"
    return ShapeError(
        f"{type(augmenter).__name__}: expected {KINDS[augmenter.rows]}, got {got}; {HINTS[augmenter.rows]}"
    )


def images(x: Array, augmenter: Augmenter) -> None:
    """ShapeError unless x is (B, height, width, channels)."""
    if x.ndim != 4:
        raise unfit(augmenter, x)


def ends(spread: Spread, neutral: float = 0.0) -> tuple[float, float]:
    """From where to where a number is drawn; `neutral` is the one that changes nothing."""
    return spread if isinstance(spread, tuple) else (neutral - spread, neutral + spread)


def drawn(key: Array, rows: int, *spreads: tuple[Spread, float]) -> list[Array]:
    """For each spread, with its neutral number, a number for each row, (B,) float32."""
    bounds, u = [ends(*spread) for spread in spreads], even(key, rows, len(spreads))
    return [low + (high - low) * u[:, i] for i, (low, high) in enumerate(bounds)]


def even(key: Array, rows: int, count: int) -> Array:
    """(B, count) numbers from 0 to below 1, float32, multiples of 2^-24."""
    # A compiler for CPUs draws anew at every pixel that asks for its row's number, a hundred operations each time: it
    # makes one loop of both, and looks through barriers. Not through a product of matrices; of bytes and powers of two
    # it is exact, also where products are rounded to ten bits.
    xp, count = key.__array_namespace__(), max(2, count)  # a product with one column would be taken apart
    words = random.bits(key, (rows, count))
    bytes_ = xp.concat([words >> 24, (words >> 16) & 255, (words >> 8) & 255], axis=1)  # (B, 3 count)
    weights = [[2.0 ** (-8 * part) * (i == j) for j in range(count)] for part in (1, 2, 3) for i in range(count)]
    return xp.astype(bytes_, xp.float32) @ xp.asarray(weights, dtype=xp.float32)


def check_spreads(least: float, most: float, **spreads: tuple[Spread, float]) -> None:
    """SettingError for a pair that runs backwards, or for one that leaves least .. most; each comes with its neutral number."""
    problems = []
    for name, (spread, neutral) in spreads.items():
        low, high = ends(spread, neutral)
        if low > high:
            problems.append((name, f"expected a pair (from, to), the smaller number first, got {spread}"))
        elif low < least or high > most:
            where = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            problems.append((name, f"expected numbers {where}, got {low:g} to {high:g}"))
    if problems:
        raise SettingError(problems)
