"""Dates as people write them and as ISO 8601 has them: a small task of translation, character by character."""

import datetime
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.source import Source
from backlit.engine import random
from backlit.settings import Count

PADDING, START = "\x00", "\x01"
LETTERS = " ,./0123456789abcdefghijklmnopqrstuvwxyz-"
VOCABULARY = (PADDING, START, *LETTERS)
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
LONGEST, ISO = 28, 10
MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
          "december")  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Dates(Source):
    """Pairs such as 'tuesday, 4 july 1967' and '1967-07-04', drawn from a seed: for sequence to sequence with attention.

    x (rows, 38): 28 characters of the written date, filled up with 0, then START and the first nine characters of the
    answer (what the decoder sees). y (rows, 10): the answer. Classes: the characters. Ten ways to write a date; the last
    tenth of the rows is the test part, on days that the training part does not hold.

    >>> from backlit.data.dates import Dates, spelled
    >>> data = Dates(rows=100).load()
    >>> data.x.shape, data.y.shape, spelled(data.y[0])[4]
    ((90, 38), (90, 10), '-')
    """

    aliases: ClassVar[tuple[str, ...]] = ("dates",)
    rows: Count = 20_000
    seed: int = 0

    def load(self) -> Dataset:
        span = (LAST - FIRST).days + 1
        key = random.fold(random.key(self.seed), "dates")
        order = random.permutation(random.fold(key, "days"), span)  # days of the test part come from the end of it
        test = max(1, self.rows // 10)
        train = self.rows - test
        held = span // 10
        form = random.bits(random.fold(key, "form"), (self.rows,))
        pick = random.bits(random.fold(key, "pick"), (self.rows,))
        days = np.where(np.arange(self.rows) < train, order[pick % (span - held)], order[span - held + pick % held])
        pairs = [pair(FIRST + datetime.timedelta(int(d)), int(f)) for d, f in zip(days, form, strict=True)]
        x = np.stack([row for row, _ in pairs])
        y = np.stack([answer for _, answer in pairs])
        rest = Dataset(x[train:], y[train:], VOCABULARY, vocabulary=VOCABULARY, name="dates (test)")
        return Dataset(x[:train], y[:train], VOCABULARY, test=rest, vocabulary=VOCABULARY, name="dates").checked()


def pair(date: datetime.date, form: int) -> tuple[np.ndarray, np.ndarray]:
    """One row of x and one of y; `form` chooses how the date is written."""
    answer = indices(date.isoformat())
    seen = np.concatenate([indices(START), answer[:-1]])
    return np.concatenate([indices(written(date, form)), seen]), answer


def written(date: datetime.date, form: int) -> str:
    """The date in one of ten ways, filled up to 28 characters."""
    month, day = MONTHS[date.month - 1], DAYS[date.weekday()]
    ways = (
        f"{date.day} {month} {date.year}",
        f"{month} {date.day}, {date.year}",
        f"{day}, {date.day} {month} {date.year}",
        f"{day[:3]} {date.day} {month[:3]} {date.year}",
        f"{date.day} {month[:3]} {date.year}",
        f"{month[:3]} {date.day} {date.year}",
        f"{date.day:02}.{date.month:02}.{date.year}",
        f"{date.day}/{date.month}/{date.year}",
        f"the {date.day}{ordinal(date.day)} of {month[:3]} {date.year}",
        f"{date.year} {month} {date.day}",
    )
    return ways[form % len(ways)].ljust(LONGEST, PADDING)


def ordinal(n: int) -> str:
    """'st', 'nd', 'rd' or 'th'."""
    return "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


def indices(text: str) -> np.ndarray:
    """Characters as their numbers, int32."""
    return np.array([VOCABULARY.index(c) for c in text], np.int32)


def spelled(values: np.ndarray) -> str:
    """Numbers as characters, without padding."""
    return "".join(VOCABULARY[int(i)] for i in values).strip(PADDING + START)
