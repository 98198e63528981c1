"""The prompt of the untuned base: worked examples in the adapter's own format, then the ad."""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR = "\n\n"
"""Between two examples."""
PLACE = "{text}"


def fill(template: str, text: str) -> str:
    """The prompt of one ad. Braces in the ad stay as they are."""
    return template.replace(PLACE, text)


def preamble(template: str, shots: Sequence[tuple[str, str]]) -> str:
    """The worked examples of (ad, rendered answer), each followed by a blank line; empty without examples.

    What is put before a prompt that ends where the answer begins.
    """
    return "".join(fill(template, text) + answer + SEPARATOR for text, answer in shots)


def stop_texts(template: str) -> tuple[str, ...]:
    """Where the base's answer ends: the examples have taught it to go on with another ad, which is no part of it.

    A blank line, a heading of the default template, and the beginning of this template on a new line.
    """
    opening = template.split(PLACE)[0].strip()
    return tuple(dict.fromkeys(mark for mark in (SEPARATOR, "###", f"\n{opening}" if opening else "") if mark))
