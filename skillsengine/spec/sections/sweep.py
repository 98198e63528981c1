"""`sweep`: the fields of `lora` and `train` whose values are tried out against each other."""

from __future__ import annotations

from hashlib import sha256
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, create_model, model_serializer, model_validator

from skillsengine.spec.sections.fields import DISTINCT, Section
from skillsengine.spec.sections.training import Lora, Train

MOST_TRIALS = 64
NOT_SWEPT = frozenset(
    {
        # Memory, speed and what people are told: the adapter stays the same.
        "train.per_device_batch_size",
        "train.batching",
        "train.logging_steps",
        "train.checkpoint_steps",
        "train.gradient_checkpointing",
        "train.compile",
        "train.sample_predictions",
        # Which adapter of a training is kept: the trials are compared by the same rule.
        "train.best_by",
        "train.early_stopping_patience",
        "train.eval_steps",
        "train.eval_rows",
    }
)
"""Fields of `lora` and `train` that are not tried out; a test holds this against what `finetune` reads."""


def _lists() -> dict[str, Any]:
    """Dotted path -> a list of what the field of that path takes, as pydantic's `create_model` wants it."""
    found: dict[str, Any] = {}
    for section, model in (("lora", Lora), ("train", Train)):
        for name, info in model.model_fields.items():
            path = f"{section}.{name}"
            if path in NOT_SWEPT:
                continue
            # With the path in it: typing hands out one type for equal arguments, and to it 0 equals 0.0, whoever said it first.
            value: Any = Annotated[(info.annotation, *info.metadata, path)]
            values: Any = Annotated[tuple[value, ...], Field(min_length=1, max_length=MOST_TRIALS), *DISTINCT]
            found[path] = (values | None, Field(None, description=f"Values of `{path}` to try."))
    return found


if TYPE_CHECKING:

    class _Lists(Section):
        """What pydantic makes below; its fields have a dot in their names."""

else:
    _Lists = create_model("_Lists", __base__=Section, **_lists())


class Sweep(_Lists):
    """Trials of one training: every combination of the lists, or a sample of them. The best adapter goes on."""

    samples: int | None = Field(None, ge=1, le=MOST_TRIALS)
    """Train so many of the combinations only, drawn with `train.seed`; null trains all, which may be 64."""
    metric: Literal["validation_loss", "validation_f1"] = "validation_loss"
    """What the trials are compared by, on the validation rows; of equal ones the earlier wins. `validation_f1` wants
    `train.best_by: validation_f1`, which measures it."""
    parallel: int = Field(1, ge=1, le=MOST_TRIALS)
    """Trials that Airflow trains at once, each on a GPU of its own; the slots of the pool bound them too."""

    @property
    def values(self) -> dict[str, tuple[Any, ...]]:
        """Dotted path of each swept field -> the values to try, both in the order of the schema."""
        paths = (path for path in type(self).model_fields if "." in path)
        return {path: tuple(values) for path in paths if (values := getattr(self, path)) is not None}

    @property
    def in_words(self) -> str:
        """`4 trials of lora.r and train.learning_rate, the best by validation_loss goes on`, for people."""
        *others, last = self.values
        paths = f"{', '.join(others)} and {last}" if others else last
        drawn = self.samples is not None and self.samples < self.combinations
        count = f"{self.samples} of {self.combinations:,}" if drawn else str(self.combinations)
        return f"{count} {'trial' if count == '1' else 'trials'} of {paths}, the best by {self.metric} goes on"

    @property
    def combinations(self) -> int:
        """How many there are."""
        return prod(len(values) for values in self.values.values())

    def chosen(self, seed: int) -> list[tuple[int, ...]]:
        """The trials, each as one index into each list of `values`: the last list's runs fastest. A sample keeps this order.

        The same seed draws the same sample, on every machine and Python.
        """
        sizes = [len(values) for values in self.values.values()]
        if self.samples is None or self.samples >= self.combinations:
            return list(product(*map(range, sizes)))
        drawn: set[int] = set()
        draw = 0
        while len(drawn) < self.samples:
            drawn.add(int.from_bytes(sha256(f"{seed}:{draw}".encode()).digest()) % self.combinations)
            draw += 1
        return [_digits(number, sizes) for number in sorted(drawn)]

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not self.values:
            raise ValueError(
                "no field to try: name one with a list of values, such as `lora.r: [8, 16, 32]`, or remove the section"
            )
        if self.samples is None and self.combinations > MOST_TRIALS:
            sizes = " x ".join(str(len(values)) for values in self.values.values())
            raise ValueError(
                f"{sizes} values are {self.combinations:,} trials, and at most {MOST_TRIALS} are trained. Write fewer values, "
                f"or `samples: 16` for so many of them drawn at random"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_gaps(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only what is tried: of the other paths there is nothing to say."""
        return {name: value for name, value in handler(self).items() if "." not in name or value is not None}


def _digits(number: int, sizes: list[int]) -> tuple[int, ...]:
    """`number` in the mixed radix of `sizes`: its place in `product(*map(range, sizes))`."""
    digits = []
    for size in reversed(sizes):
        number, digit = divmod(number, size)
        digits.append(digit)
    return tuple(reversed(digits))
