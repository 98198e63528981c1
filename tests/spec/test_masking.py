"""No secret reaches an error text."""

from __future__ import annotations

import pytest

from skillsengine.masking import mask, names_secret
from tests.spec.support import GOOD, Folder

HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("password: hunter2", "hunter2"),
        ("  db_password = hunter2 # no", "hunter2"),
        ('"api_key": "abc def"', "abc def"),
        ("{apikey: abcdef, r: 3}", "abcdef"),
        ("token: [a1b2c3]", "a1b2c3"),
        ("my-secret: s3", "s3"),
        ("AWS_SECRET_ACCESS_KEY: wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
        ("description: the token wJalrXUtnFEMIK7MDENGbPxRfi", "wJalrXUtnFEMIK7MDENGbPxRfi"),
        ("owner: hf_AbCdEfGhIjKlMnOp", "hf_AbCdEfGhIjKlMnOp"),
        (f"owner: {HEX}", HEX),
        ("source: s3://me:sesame@bucket/ads", "sesame"),
        ("owner: AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("owner: ghp_abcdefghijklmnopqrst", "ghp_abcdefghijklmnopqrst"),
        ("owner: eyJhbGciOiJIUzI1.eyJzdWIi.SflKx", "SflKx"),
    ],
)
def test_secrets_are_hidden_and_columns_stay(line: str, secret: str) -> None:
    assert secret not in mask(line)
    assert len(mask(line)) == len(line)


@pytest.mark.parametrize(
    "line",
    [
        "tokens: {max_length: auto}",
        "evaluate: {max_new_tokens: 96}",
        "  monkey: 3",
        "  author: Ada",
        f"revision: {HEX}",
        "source: data/ads/2026-01.jsonl",
        "model: meta-llama/Llama-2-13b-hf",
        "target_modules: [q_proj, k_proj]",
    ],
)
def test_ordinary_lines_are_shown(line: str) -> None:
    assert mask(line) == line


def test_names() -> None:
    assert all(names_secret(key) for key in ("api_key", "hf_token", "password", "WANDB_API_KEY", "secret"))
    assert not any(names_secret(key) for key in ("tokens", "max_new_tokens", "keyboard", "author", "passage"))


@pytest.mark.parametrize(
    "rows",
    [
        "tracking: {token: sesame, mode: 3}",
        "password:\n  sesame: x: y",
        "wandb_key: |\n  sesame\n  x\n y: 1",
        "owner: hf_sesame0123\ntrain: hf_sesame0123",
        "extends: hf_sesame0123.yaml",
        "data: {source: a, period: 'https://me:sesame@host'}",
        "description: ${hf_sesame0123}",
        "description: ${oc.env:hf_sesame0123}",
        "hf_sesame0123: 1",
    ],
)
def test_no_secret_in_the_whole_text(rows: str, specs: Folder) -> None:
    assert "sesame" not in specs.error(GOOD + rows + "\n")


@pytest.mark.parametrize("override", ["hf_token=sesame", "train.epochs=hf_sesame0123", "data.source=['s3://a:sesame@b"])
def test_no_secret_in_an_override(override: str, specs: Folder) -> None:
    assert "sesame" not in specs.error(GOOD, override)
