"""Real specs, damaged: what hypothesis draws from, and what the fuzzer begins with."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import strategies as st

from tests.spec.hostile_cases import HEX, READ, TEXTS, TOKEN
from tests.spec.support import GOOD

SHIPPED = sorted((Path(__file__).parents[2] / "experiments").rglob("*.yaml"))
SECRETS = (TOKEN, HEX, "AKIAIOSFODNN7EXAMPLE", "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789")
_SHORT = [body for body in (*TEXTS.values(), *(body for body, _ in READ.values())) if len(body) < 3000]
SEEDS = [GOOD.encode(), *(path.read_bytes() for path in SHIPPED)]
SEEDS += [body if isinstance(body, bytes) else body.encode() for body in _SHORT]

VALUES = [
    *("", "~", "yes", "010", "1_000", ".nan", "-.inf", "1e999", "9" * 50, "0x" + "f" * 30, "???", "12:30:00", "-1"),
    *("{}", "[]", "[[[]]]", "{a: {b: [c]}}", "&a x", "*a", "!t x", "|", ">-", "'", '"', "\\", "?", "- a", "a: b", "${"),
    *("${name}", "${lora}", "${oc.env:HOME}", "${x.y}", "{{ ds }}", "{partition}", "../..", "/etc/passwd", "http://x"),
    *(
        "\t",
        "\0",
        "\u2028",
        "\ufeff",
        "é",
        "🦙",
        "\x85",
        "#",
        "<<",
        "<<<<<<< HEAD",
        "---",
        "...",
        "%YAML 1.1",
        "@",
        "`",
    ),
    *("* * * * *", "0 0 30 2 *", "R * * * *", "0001-01-01", "9999-12-31", "999999999d", "-----BEGIN PRIVATE KEY-----"),
]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A real spec with up to five of its lines changed, moved, doubled, indented or lost."""
    whole = draw(st.sampled_from(SHIPPED)).read_text("utf-8")
    lines = [line for line in whole.split("\n") if not line.startswith("#")]
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        key, colon, _ = line.partition(":")
        lines[at : at + 1] = draw(
            st.sampled_from(
                [
                    [],
                    [line, line],
                    [line, lines[draw(st.integers(0, len(lines) - 1))]],
                    [" " * draw(st.integers(0, 60)) + line.lstrip()],
                    [f"{key}{colon} {draw(st.sampled_from(VALUES))}"],
                    [f"{draw(st.sampled_from(VALUES))}: {line.strip()}"],
                    [line[: draw(st.integers(0, len(line)))]],
                    [line + draw(st.sampled_from(VALUES)) * draw(st.sampled_from([1, 2, 50]))],
                ]
            )
        )
        lines = lines or [""]
    return "\n".join(lines)


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, str]:
    """(a damaged spec with a secret at any place of it, the secret)."""
    # 40 hex digits on a line that speaks of a commit are one.
    text = re.sub(r"(?i)revision|commit|sha|digest", "word", draw(damaged()))
    at = draw(st.integers(0, len(text)))
    secret = draw(st.sampled_from(SECRETS))
    front, back = (
        draw(st.sampled_from([" ", "\n", '"', "'", ": ", "\n? ", "[", "=", "${"])),
        draw(st.sampled_from([" ", "\n", '"', "'", ": ", "]", "}", ": 1\n"])),
    )
    return text[:at] + front + secret + back + text[at:], secret
