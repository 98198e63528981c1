"""A secret that stands in a spec is refused, in comments too: Airflow's Code tab shows the whole text.

What is hidden in messages (`skillsengine.masking`) only resembles a secret; what is refused here is one beyond doubt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from skillsengine.spec.errors import Problem
from skillsengine.spec.source import Node, Part, Place, Source, dotted, leaves

# No pattern may begin again inside what it has looked at, or a line of a megabyte takes hours.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])hf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{16,}"
    r"|(?<!\w)wandb_v1_\w{20,}"
    r"|(?<!\w)gh[opsur]_[A-Za-z0-9]{20,}|(?<!\w)github_pat_\w{20,}|(?<![\w-])glpat-[\w-]{16,}"
    r"|(?<![\w-])sk-(?=[A-Za-z-]*[0-9_])[\w-]{20,}|(?<![\w-])xox[abeoprs]-[\w-]{10,}"
    r"|(?<![A-Za-z0-9])A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Za-z0-9])|(?<![\w-])AIza[\w-]{35}"
    r"|(?<![\w.-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|-----BEGIN[A-Z ]{1,40}PRIVATE KEY-----"
    r"|(?<=://)[^\s/@:]*:(?=[^\s/@]+@)[^\s/@]+"
)
# A key of W&B is 40 hex digits, as a commit is: `name@<commit>`, `snapshots/<commit>`, and lines that speak of one.
_HEX = re.compile(r"(?<![0-9A-Za-z@/])[0-9a-f]{40}(?![0-9A-Za-z/])")
_DIGITS = re.compile(r"[0-9a-f]{40}")
_WORDS = (
    *("hf_", "wandb_v1_", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "sk-", "xox"),
    *("AKIA", "ASIA", "AIza", "eyJ", "-----BEGIN"),
)
_COMMIT = re.compile(r"(?i)revision|commit|sha|digest")
SECRET_KEY = "a secret never stands in a spec: name an Airflow connection, or set WANDB_API_KEY where the stages run"
_MESSAGE = "a secret never stands in a spec"
_MEND = (
    "name an Airflow connection, or set HF_TOKEN or WANDB_API_KEY where the stages run; revoke this one, since everybody "
    "who can read the file knows it"
)


def secrets_in(source: Source, text: str) -> list[Problem]:
    """The secrets in a text, comments and all, the first of each line."""
    if not _may_hold(text):
        return []
    problems = []
    above = ""
    for index, line in enumerate(source.lines):
        span = _find(line, f"{above[:200]} {line}")
        if span:
            problems.append(_problem(source, index, span))
        above = line or above
    return problems


def secret_values(root: Node, known: Iterable[Problem]) -> list[Problem]:
    """The values that are a secret though no line shows one: written with escapes, or put together by references."""
    told = {(problem.file, problem.line or 0) for problem in known if problem.message == _MESSAGE}
    problems = []
    for path, node in leaves(root):
        if isinstance(node.value, str) and _find(node.value, f"{dotted(path)} {node.value}"):
            place = node.at
            line = place.line + 1 if place.source.numbered else 0
            below = line and "\n" in node.value  # a text of many lines: its secret was told on one of them
            if not any(file == place.source.shown and (at == line or (below and at > line)) for file, at in told):
                problems.append(_of_value(node, path))
    return problems


def told_once(problems: Sequence[Problem]) -> list[Problem]:
    """`problems` without what else is wrong with a secret, and without secrets whose key is told to be one."""
    secrets = [problem for problem in problems if problem.message == _MESSAGE and problem.hint == _MEND]
    spans = {(p.file, p.line, (p.column or 0) + at) for p in secrets for at in range(-1, p.length + 1)}
    # A key that is a secret itself is told as the secret, not as a key: one of the two must stay.
    keys = {(p.file, p.line) for p in problems if p.hint == SECRET_KEY and (p.file, p.line, p.column) not in spans}
    return [
        problem
        for problem in problems
        if (problem not in secrets or (problem.file, problem.line) not in keys)
        and (problem in secrets or (problem.file, problem.line, problem.column) not in spans)
    ]


def _find(text: str, around: str) -> tuple[int, int] | None:
    if not _may_hold(text):
        return None
    match = _TOKEN.search(text) or (None if _COMMIT.search(around) else _HEX.search(text))
    return match.span() if match else None


def _may_hold(text: str) -> bool:
    """Whether looking closely is worth its time: for nearly every text it is not."""
    return ("@" in text and "://" in text) or any(word in text for word in _WORDS) or _DIGITS.search(text) is not None


def _problem(source: Source, index: int, span: tuple[int, int]) -> Problem:
    return Place(source, index, span[0], span[1] - span[0]).problem("", _MESSAGE, _MEND)


def _of_value(node: Node, path: tuple[Part, ...]) -> Problem:
    # The line is not shown: its escapes would spell the secret.
    return node.at.problem(dotted(path), _MESSAGE, _MEND, excerpt=False)
