"""HTML as functions that return text. All that is not `Html` is escaped, so no class name can break the page."""

import html
from typing import Any

_VOID = {"img", "source", "meta", "br"}


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(value: Any) -> Html:
    """A value as page text: markup stays, the rest is escaped, characters that a page may not hold become U+FFFD.

    >>> escape('<b> & "you"')
    '&lt;b&gt; &amp; &quot;you&quot;'
    """
    if isinstance(value, Html):
        return value
    allowed = (c if (c >= " " or c in "\t\n") and not "\ud800" <= c <= "\udfff" else "\ufffd" for c in str(value))
    return Html(html.escape("".join(allowed), quote=True))


def tag(name: str, /, *inside: Any, **attributes: Any) -> Html:
    """<name attributes>inside</name>; `_` in an attribute's name stands for `-` (and ends `class_`), None drops it.

    >>> tag("a", "here & there", href="#top", class_="link")
    '<a href="#top" class="link">here &amp; there</a>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{''.join(escape(part) for part in inside)}</{name}>")


def table(caption: str, columns: list[str], rows: list[list[Any]], *, numbers: bool = True) -> Html:
    """A table that scrolls sideways on a small screen; the first cell of a row is its header."""
    head = tag("tr", *(tag("th", name, scope="col") for name in columns)) if columns else None
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    inner = tag(
        "table",
        tag("caption", caption),
        tag("thead", head) if head else Html(""),
        tag("tbody", *body),
        class_="numbers" if numbers else "words",
    )
    return tag("div", inner, class_="wide", tabindex="0", role="region", aria_label=caption)


def number(value: Any, digits: int = 4) -> str:
    """A number for people: four digits that count, thousands apart, and words for what is no number.

    >>> number(0.123456), number(12345), number(1234.5678), number(1e-7), number(None)
    ('0.1235', '12 345', '1 235', '1e-07', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (abs(value) >= 1000 and abs(value) < 1e15):
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.{digits}g}"


def percent(share: float) -> str:
    """A share for people.

    >>> percent(0.1234), percent(1.0)
    ('12.3 %', '100 %')
    """
    return "100 %" if share == 1 else f"{100 * share:.1f} %"
