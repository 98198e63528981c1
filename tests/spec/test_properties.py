"""What holds for every spec and for every text."""

from __future__ import annotations

import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skillsengine.spec import allowed
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded, load_spec, resolved
from skillsengine.spec.schema import NAME_PATTERN, Experiment
from tests.spec.support import GOOD

QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Letters, digits, signs and spaces of all scripts: what an editor can write into a file as it is.
WORDS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters="\n"), max_size=20).filter(
    lambda text: "${" not in text
)
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "name": st.just("job"),
    "template": st.builds(
        "{}{{text}}{}".format, *[WORDS.filter(lambda text: "{text}" not in text and "$" not in text)] * 2
    ),
    "cleaning": st.lists(st.sampled_from(["html", "entities", "unicode", "whitespace"]), unique=True),
    "target_modules": st.lists(WORDS, min_size=1, unique=True),
    "versions": st.lists(st.sampled_from(["champion", "latest", "7", "x-1_y"]), min_size=1, unique=True),
    "lr_scheduler": st.sampled_from(["linear", "cosine", "constant_with_warmup"]),  # a constant rate has no warm-up
    "revision": st.none(),  # wants a model of the Hub
    "text": WORDS.map("text {}".format),  # not the column of the labels
    "schedule": st.sampled_from([None, "none", "0 3 * * 1"]),
    "start_date": st.dates(date(1900, 1, 1), date(2199, 12, 31)).map(str),
    "model": st.from_regex(NAME_PATTERN, fullmatch=True),
    "connection": st.none(),  # wants a source or an address that it is for
    "to": st.just([]),  # and these want a connection
    "deadline": st.none(),
    "sweep": st.sampled_from(
        [None, {"lora.r": [4, 8]}, {"train.epochs": [1], "lora.alpha": [8, 16, 32], "samples": 2}]
    ),
    "per_device_batch_size": st.integers(1, 64),  # `auto` wants a batch_size
    "gradient_accumulation_steps": st.just(1),  # more of them want to agree with it
    "batch_size": st.integers(1, 4096),
    "early_stopping_patience": st.none(),  # wants a best_by
    "gpus": st.just(1),  # more want as many rows in an optimizer step
    "init_weights": st.just("default"),  # the other one wants an unquantized base
    "use_dora": st.just(False),  # not of 8-bit weights
    "approval_timeout": st.from_regex(r"[1-9][0-9]{0,3}[smhd]", fullmatch=True),  # no time is refused
    "baselines": st.lists(st.sampled_from(["base", "lexicon"]), unique=True),
    "spans": st.lists(WORDS.map("spans {}".format), max_size=3, unique=True),  # columns of their own
    "fields": st.lists(WORDS.map("field {}".format), max_size=3, unique=True),
    "hub": st.sampled_from([None, "org/name", "My-Org/job.skills_7b"]),
}


def values(name: str, schema: allowed.Schema) -> st.SearchStrategy[Any]:
    """Right values of a field, drawn from the schema that the error texts are made from, too."""
    if name in SPECIAL:
        return SPECIAL[name]
    return st.one_of([_one(name, option) for option in allowed.options(schema)])


def _one(name: str, schema: allowed.Schema) -> st.SearchStrategy[Any]:
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema["type"]
    if kind == "object":
        known = allowed.keys(schema)
        parts = {key: values(key, part) for key, part in known.items()}
        needed = {*schema.get("required", ()), *({"start_date"} & set(parts))}
        return st.fixed_dictionaries(
            {key: part for key, part in parts.items() if key in needed},
            optional={key: part for key, part in parts.items() if key not in needed},
        )
    if kind == "array":
        return st.lists(values(name, schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
    if kind == "integer":
        top = schema.get("maximum", schema.get("exclusiveMaximum", 2**40) - 1)
        return st.integers(schema.get("minimum", 0), top)
    if kind == "number":
        low, high = (
            schema.get("minimum", schema.get("exclusiveMinimum")),
            schema.get("maximum", schema.get("exclusiveMaximum")),
        )
        return st.floats(
            low,
            high,
            exclude_min="exclusiveMinimum" in schema,
            exclude_max="exclusiveMaximum" in schema,
            allow_nan=False,
        ).filter(lambda number: abs(number) < 1e300)
    if kind == "string" and schema.get("format") == "duration":
        return st.from_regex(r"[0-9]{1,4}[smhd]", fullmatch=True)
    if kind == "string":
        return WORDS.filter(lambda text: len(text) >= schema.get("minLength", 0))
    return {"boolean": st.booleans(), "null": st.none()}[kind]


RIGHT = values("", allowed.root_schema())


def load(text: str | bytes, *overrides: str) -> Loaded | SpecError:
    """Anything but SpecError is the caller's to see."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "experiments" / "job.yaml"
        path.parent.mkdir()
        (path.parent / "base.yaml").write_text("lora: {r: 8}\n")
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        try:
            return load_spec(path, overrides=overrides)
        except SpecError as error:
            assert str(error)
            assert error.problems
            return error


@QUICK
@given(RIGHT)
def test_a_right_spec_loads_as_it_was_written_and_resolves_to_itself(data: dict[str, Any]) -> None:
    loaded = load(json.dumps(data, ensure_ascii=False))
    assert isinstance(loaded, Loaded), str(loaded)
    assert loaded.experiment == Experiment.model_validate(data)
    again = resolved(loaded.experiment)
    assert Experiment.model_validate(again) == loaded.experiment
    assert json.loads(json.dumps(again)) == again
    assert resolved(Experiment.model_validate(again)) == again


@QUICK
@given(RIGHT)
def test_the_resolved_spec_is_a_spec(data: dict[str, Any]) -> None:
    experiment = Experiment.model_validate(data)
    loaded = load(json.dumps(resolved(experiment), ensure_ascii=False))
    assert isinstance(loaded, Loaded), str(loaded)
    assert loaded.experiment == experiment


KEYS = [
    key for part in (allowed.root_schema(), *allowed.root_schema()["properties"].values()) for key in allowed.keys(part)
]
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["${name}", "none", "{partition}"]),
)
TREES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


@QUICK
@given(st.dictionaries(st.sampled_from([*KEYS, "extends"]), TREES, max_size=6))
def test_any_tree_is_loaded_or_refused(tree: dict[str, Any]) -> None:
    load(json.dumps(tree))


@QUICK
@given(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=6))
def test_every_problem_of_a_tree_stands_on_its_line(tree: dict[str, Any]) -> None:
    text = json.dumps(tree, indent=1)
    result = load(text)
    if isinstance(result, SpecError):
        for problem in result.problems:
            assert problem.file == "experiments/job.yaml"
            assert problem.line is not None
            assert problem.column is not None
            assert 1 <= problem.line <= text.count("\n") + 1
            assert 1 <= problem.column <= len(text.split("\n")[problem.line - 1]) + 1


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_are_loaded_or_refused(data: bytes) -> None:
    load(data)


PIECES = [
    *"{}[]&*!|>'\"%@`#,?:-.\n\t \\$~<=0",
    "${",
    "}",
    "name",
    "train",
    ": ",
    "\n  ",
    "- ",
    "---",
    "<<: ",
    "2e-4",
    "extends: base.yaml\n",
    "\u2028",
    "é",
    "\ufeff",
]


@QUICK
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40))
def test_any_text_is_loaded_or_refused(pieces: list[str]) -> None:
    load("".join(pieces))
    load(GOOD + "".join(pieces))
    load(GOOD + "description: " + "".join(pieces))


@QUICK
@given(st.data())
def test_a_damaged_spec_is_loaded_or_refused(data: st.DataObject) -> None:
    whole = (Path(__file__).parents[2] / "experiments" / "job-skills-demo.yaml").read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    load(whole[:start] + data.draw(st.text(max_size=5)) + whole[end:])


REFERENCES = [
    "${",
    "}",
    "{",
    "\\",
    "'",
    '"',
    ":",
    ".",
    "name",
    "lora",
    "lora.r",
    "base.revision",
    "tags",
    "x",
    "${name}",
    "${owner}",
    "${lora.r}",
    " ",
    "$",
    "oc.env",
]


@QUICK
@given(*[st.lists(st.sampled_from(REFERENCES), max_size=8).map("".join)] * 3)
def test_any_reference_is_resolved_or_refused(owner: str, description: str, tag: str) -> None:
    result = load(
        GOOD
        + json.dumps({"owner": owner, "description": description, "tags": [tag]}, indent=1)[1:-1].replace("\n ", "\n")
    )
    if isinstance(result, Loaded) and "${" not in owner:
        assert result.experiment.owner == owner


@QUICK
@given(
    st.lists(st.text(max_size=30) | st.builds("{}={}".format, st.sampled_from(KEYS), st.text(max_size=10)), max_size=4)
)
def test_any_override_is_taken_or_refused(overrides: list[str]) -> None:
    load(GOOD, *overrides)
