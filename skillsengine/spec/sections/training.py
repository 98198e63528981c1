"""What is trained, and how: `base`, `lora`, `train`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from skillsengine.spec.scalars import shorten
from skillsengine.spec.sections.fields import DISTINCT, Section

BUILTIN_BASE = "smollm2-135m-instruct"
ALL_LINEAR = "all-linear"
"""In `lora.target_modules`: every linear module but the output layer, as peft has it."""
_LARGE = 10**9
"""Parameters from which `gradient_checkpointing: auto` recomputes activations and `compile: auto` compiles, on CUDA."""


class Base(Section):
    """The frozen pretrained model."""

    model: str = Field(BUILTIN_BASE, min_length=1)
    """`smollm2-135m-instruct` (built in), a local folder, or a Hub id such as meta-llama/Llama-2-13b-hf."""
    revision: str | None = None
    """Commit, tag or branch of a Hub model; null takes its main branch. A branch is pinned to its commit at registration."""
    quantization: Literal["nf4", "int8", "none"] = "none"
    """Weights of the frozen base: 4-bit NormalFloat, 8-bit integers, or as they are."""

    @model_validator(mode="after")
    def _has_revisions(self) -> Self:
        if self.revision is not None and (self.model == BUILTIN_BASE or self.model.startswith((".", "/"))):
            raise ValueError(
                f"revision: only a model of the Hub has one, and base.model is `{shorten(self.model)}`. Write "
                "`revision: null`, or name a model of the Hub"
            )
        return self


def _targets(value: Any) -> Any:
    """`all-linear` without brackets is a list of one. A list becomes a tuple here: behind a validator, strict JSON no longer
    does that by itself."""
    if value == ALL_LINEAR:
        return (ALL_LINEAR,)
    return tuple(value) if isinstance(value, list) else value


_Targets = (
    Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True})]
)


class Lora(Section):
    """The adapter (Hu et al., 2021, arXiv:2106.09685)."""

    r: int = Field(32, ge=1, le=1024)
    """Rank of the update matrices."""
    alpha: int = Field(64, ge=1, le=4096)
    """Scale of the update: it is multiplied by alpha / r, with `use_rslora` by alpha / sqrt(r)."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the adapter's input during training (0 to 1)."""
    target_modules: Annotated[tuple[str, ...], BeforeValidator(_targets, _Targets), *DISTINCT] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), min_length=1
    )
    """Names of the linear modules that get an adapter. `all-linear`, alone or in the list, stands for all of them but the
    output layer: `[all-linear, lm_head]` takes that too."""
    use_rslora: bool = False
    """rsLoRA (Kalajdzievski, 2023, arXiv:2312.03732): a scale that lets a high rank learn as fast as a low one."""
    use_dora: bool = False
    """DoRA (Liu et al., 2024, arXiv:2402.09353): the length of each row of the adapted weights is learned beside the update.
    Slower, and vLLM takes it only merged; not with `base.quantization: int8`."""
    init_weights: Literal["default", "pissa"] = "default"
    """How the adapter starts: `default` changes nothing, `pissa` (Meng et al., 2024, arXiv:2404.02948) takes over the main
    directions of an unquantized base. What is saved fits the base as it was, with twice the rank."""

    @property
    def in_words(self) -> str:
        """On one line, for people."""
        kinds = ((self.use_rslora, "rsLoRA"), (self.use_dora, "DoRA"), (self.init_weights == "pissa", "PiSSA"))
        parts = [f"r {self.r}", f"alpha {self.alpha}", f"dropout {self.dropout:g}", *(kind for on, kind in kinds if on)]
        return f"{', '.join(parts)}, on {', '.join(self.target_modules)}"


class Train(Section):
    """How the adapter is trained; the Trainer is transformers' own."""

    epochs: float = Field(3.0, gt=0.0, le=1000.0)
    """Passes over the training rows."""
    per_device_batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = 4
    """Rows in one forward pass on one device. `auto`, with `batch_size`, takes as many as memory and speed allow, and fewer
    where memory runs out: the adapter is the same within rounding."""
    gradient_accumulation_steps: int = Field(1, ge=1, le=4096)
    """Forward passes per optimizer step; rows per step = this x per_device_batch_size."""
    batch_size: int | None = Field(None, ge=1, le=4096 * 4096)
    """Rows per optimizer step, said outright: needed by `per_device_batch_size: auto`; null takes the product of the two
    above."""
    batching: Literal["auto", "padded", "flattened"] = "auto"
    """How rows go through together: `padded` to the longest of them, or `flattened`, one after the other in a single row, each
    blind to the others. `auto` takes what is faster: padded on a CPU, flattened on CUDA. The loss is the same."""
    learning_rate: float = Field(2e-4, gt=0.0, le=1.0)
    """Peak learning rate."""
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """Course of the learning rate after the warm-up; `constant` has none."""
    warmup_steps: int = Field(0, ge=0)
    """Optimizer steps over which the learning rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0.0, lt=1.0)
    """AdamW's weight decay."""
    max_grad_norm: float = Field(1.0, gt=0.0)
    """Gradients are clipped to this norm."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Seed of initialization and shuffling."""
    logging_steps: int = Field(10, ge=1)
    """Optimizer steps between two logged losses."""
    checkpoint_steps: int = Field(50, ge=1)
    """Optimizer steps between two checkpoints from which a killed training goes on."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations in the backward pass rather than keep them: less memory, a third more work, the same adapter.
    `auto` does so on CUDA with a base of more than 10^9 parameters."""
    compile: bool | Literal["auto"] = "auto"
    """Compile the layers with torch: a minute before the first step, then more speed and less memory, the same adapter. `auto`
    does so on CUDA with a base of more than 10^9 parameters, where it works."""
    eval_steps: int | None = Field(None, ge=1)
    """Optimizer steps between two evaluations on the validation rows; null evaluates after each epoch. There is always one
    after the last step."""
    best_by: Literal["validation_loss", "validation_f1"] | None = None
    """Keep the adapter of the evaluation that was best by this; null keeps the last. `validation_f1` lets the model answer
    `eval_rows` rows at each evaluation."""
    early_stopping_patience: int | None = Field(None, ge=1)
    """Stop after so many evaluations in a row that are no better than the best one by `best_by`; null trains to the end."""
    eval_rows: int = Field(64, ge=1, le=100_000)
    """At most so many validation rows are answered for `validation_f1`."""
    sample_predictions: int = Field(4, ge=0, le=1000)
    """Validation rows that are answered at each evaluation to be looked at, in W&B and `samples.jsonl`; 0 for none."""

    @model_validator(mode="after")
    def _warms_up(self) -> Self:
        if self.lr_scheduler == "constant" and self.warmup_steps:
            raise ValueError(
                "warmup_steps: `lr_scheduler: constant` has no warm-up, so they would do nothing. Write "
                "`lr_scheduler: constant_with_warmup`, or `warmup_steps: 0`"
            )
        return self

    @model_validator(mode="after")
    def _steps_add_up(self) -> Self:
        rows, accumulated = self.per_device_batch_size, self.gradient_accumulation_steps
        if rows == "auto":
            if self.batch_size is None:
                raise ValueError(
                    "per_device_batch_size: `auto` decides how many rows fit at once, and not how many make an optimizer step. "
                    "Say that with `batch_size: 16`, or write a number here"
                )
            if accumulated != 1:
                raise ValueError(
                    f"gradient_accumulation_steps: {accumulated} and `per_device_batch_size: auto` exclude each other: `auto` "
                    "accumulates as often as it needs to. Remove it; `batch_size` says how many rows make an optimizer step"
                )
        elif self.batch_size is not None and accumulated != 1 and self.batch_size != rows * accumulated:
            raise ValueError(
                f"batch_size: {self.batch_size} rows an optimizer step, but {rows} (per_device_batch_size) x {accumulated} "
                f"(gradient_accumulation_steps) are {rows * accumulated}. Remove gradient_accumulation_steps: it follows from "
                "batch_size"
            )
        return self

    @model_validator(mode="after")
    def _stops_by_something(self) -> Self:
        if self.early_stopping_patience is not None and self.best_by is None:
            raise ValueError(
                "early_stopping_patience: stops when nothing gets better, and `best_by: null` does not say by what. Write "
                "`best_by: validation_loss` or `validation_f1`"
            )
        return self

    @property
    def effective_batch_size(self) -> int:
        """Rows per optimizer step: the only batch size that changes what is learned."""
        if self.batch_size is not None:
            return self.batch_size
        # `auto` comes with a batch_size.
        return self.rows_at_once * self.gradient_accumulation_steps

    @property
    def rows_at_once(self) -> int:
        """The most rows that go through in one forward pass."""
        if self.per_device_batch_size != "auto":
            return self.per_device_batch_size
        return self.batch_size or 1

    @property
    def choice(self) -> dict[str, Any] | None:
        """Which of several adapters is kept; None where it is the last, however often it was evaluated before."""
        if self.best_by is None:
            return None
        chosen = {name: getattr(self, name) for name in ("best_by", "early_stopping_patience", "eval_steps")}
        return chosen | ({"eval_rows": self.eval_rows} if self.best_by == "validation_f1" else {})


def recomputes(setting: bool | Literal["auto"], device: str, parameters: int) -> bool:
    """What `gradient_checkpointing` means for a model of so many parameters.

    On a CPU memory is rarely short, and the third forward pass costs a third of the time.
    """
    return device == "cuda" and parameters > _LARGE if setting == "auto" else setting


def compiles(setting: bool | Literal["auto"], device: str, parameters: int) -> bool:
    """What `compile` means for a model of so many parameters: a small one is trained before a compiler is done."""
    return device == "cuda" and parameters > _LARGE if setting == "auto" else setting
