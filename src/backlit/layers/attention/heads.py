"""What self-attention and cross-attention share: their settings and their projections."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.engine import random
from backlit.errors import SettingError
from backlit.initializers import Initializer, Xavier, Zeros
from backlit.layers.attention.dot_product import DotProductAttention
from backlit.layers.dense import Dense
from backlit.protocol import Array, Layer, Tree, need
from backlit.settings import Count, Fraction


@dataclass(frozen=True)
class Heads(Layer):
    """Base of attention with projections. `width` is that of all query heads together (None: the features of x)."""

    abstract: ClassVar[bool] = True
    heads: Count
    width: Count | None = None
    kv_heads: Count | None = None
    dropout: Fraction = 0.0
    W: Initializer = Xavier()
    b: Initializer | None = Zeros()

    def check(self) -> None:
        if self.width and self.width % self.heads:
            raise SettingError([("width", f"expected a multiple of heads = {self.heads}, got {self.width}")])
        self.attend()

    @property
    def shared(self) -> int:
        """How many heads the keys and values have."""
        return self.kv_heads or self.heads

    def attend(self, causal: bool = False) -> DotProductAttention:
        """The attention between the projections."""
        return DotProductAttention(self.heads, self.kv_heads, causal=causal, dropout=self.dropout)

    def widths(self, features: int) -> tuple[int, int]:
        """Features of the queries and of the keys for x with `features`: all heads together."""
        width = self.width or features
        text = (
            f"expected features that {self.heads} heads divide, got {features}; set width to a multiple of {self.heads}"
        )
        need(width % self.heads == 0, f"{type(self).__name__} {text}")
        return width, width // self.heads * self.shared

    def dense(self, units: int) -> Dense:
        """A projection."""
        return Dense(units, self.W, self.b)

    def draw(self, key: Array, features: int, parts: dict[str, int]) -> Tree:
        """A projection that makes several parts side by side, each drawn by itself, as if they were apart."""
        drawn = [self.dense(units).init(random.fold(key, name), (features,))[1] for name, units in parts.items()]
        return {name: key.__array_namespace__().concat([p[name] for p in drawn], axis=-1) for name in drawn[0]}
