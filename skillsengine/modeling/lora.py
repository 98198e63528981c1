"""The adapter: attach a new one to a base, load a trained one, and look at its matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from skillsengine.modeling import pissa
from skillsengine.modeling.adapter_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, require_adapter
from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.errors import ModelError
from skillsengine.spec.schema import ALL_LINEAR, Lora


def attach(model: Any, lora: Lora, seed: int, start: Path | None = None) -> PeftModel:
    """Put a new LoRA adapter on `model`, in place: A at random from `seed`, B zero (or as `lora.init_weights` says), only it
    trains. With DoRA the lengths of the weights' rows train too.

    `start` is a file that PiSSA's start is read from, or written to where it is not there: without it the adapter can be
    trained, but not saved.

    Raises ModelError for a target that is no linear module of the model (the text lists those there are), and where a target
    cannot be adapted in this way.
    """
    _require_targets(model, lora.target_modules)
    targets = targets_of(model, lora.target_modules)
    if _names_output(model, targets):
        untie(model)
    pissa_start = lora.init_weights == pissa.INIT
    if pissa_start:
        pissa.require_rank(model, targets, lora.r)
    known = pissa_start and start is not None and start.is_file()
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        init_lora_weights=pissa.INIT if pissa_start and not known else True,
        bias="none",
        fan_in_fan_out=_transposed(model, targets),
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    _require_lengths(adapted)
    if known and start is not None:
        pissa.start_from(adapted, start)
    elif pissa_start and start is not None:
        pissa.keep_start(adapted, start)
    return adapted


def save_adapter(model: PeftModel, folder: Path, start: Path) -> None:
    """Write the adapter of `model` into `folder` in peft's own layout, to be loaded on the base as it was before `attach`.

    `start`: what was given to `attach`. The base's embeddings are never stored.
    """
    model.save_pretrained(folder, save_embedding_layers=False)
    if pissa.is_pissa(model):
        pissa.fit_original_base(folder / ADAPTER_WEIGHTS, folder / ADAPTER_CONFIG, start)
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty card; `register` writes the real one


def load_adapter(loaded: LoadedBase, folder: Path) -> LoadedBase:
    """The base with the trained adapter of `folder` on it, for inference.

    `loaded.model` is changed in place; the untuned base comes back inside `model.disable_adapter()`. The adapter is not
    merged: on a quantized base that would change the answers, and on a CPU it gains a tenth of the time at most.

    Raises ModelError if `folder` holds no adapter, one for another base, more than an adapter, or numbers that are none.
    """
    require_adapter(folder)
    try:
        config = LoraConfig.from_pretrained(folder)
        targets = tuple(config.target_modules or ())
        if _names_output(loaded.model, targets):
            untie(loaded.model)
        model = PeftModel.from_pretrained(loaded.model, folder, is_trainable=False)
        with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
            saved = set(file.keys())
    except (RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        reason = str(error).strip().split("\n")
        raise ModelError(
            f"the adapter {folder} does not fit this base: {' '.join(reason[:2])}. Load it on the base that it was "
            f"trained on (`base_model_name_or_path` in {ADAPTER_CONFIG})."
        ) from error
    expected = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if saved != expected:
        raise ModelError(
            f"the adapter {folder} does not fit this base: {len(expected - saved)} of {len(expected)} matrices are not "
            f"in it, {len(saved - expected)} have no place. Load it on the base that it was trained on."
        )
    _require_finite(model, folder)
    model.eval()
    return replace(loaded, model=model)


def _require_finite(model: PeftModel, folder: Path) -> None:
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    wrong = sorted(name for name, weight in state.items() if not torch.isfinite(weight).all())
    if wrong:
        raise ModelError(
            f"the adapter {folder} holds numbers that are none (NaN or infinite) in {len(wrong)} of {len(state)} matrices (the "
            f"first: {wrong[0]}): every answer would be noise. Its training has diverged, or the file is damaged: train again."
        )


def untie(model: Any) -> bool:
    """Give the output layer its own copy of the embedding it shares; True if it shared one.

    An adapter on a shared output layer computes rightly, but merging it would change the embedding too.
    """
    output, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if output is None or output.weight is not embedding.weight:
        return False
    output.weight = torch.nn.Parameter(output.weight.detach().clone(), requires_grad=False)
    for config in {id(c): c for c in (model.config, model.config.get_text_config())}.values():
        config.tie_word_embeddings = False
    return True


def targets_of(model: Any, names: Sequence[str]) -> list[str]:
    """What `lora.target_modules` means for `model`, sorted: `all-linear` becomes the names of all linear modules but the output
    layer (whole paths where a last name would take that in)."""
    targets = set(names)
    if ALL_LINEAR in targets:
        targets.remove(ALL_LINEAR)
        output = model.get_output_embeddings()
        for path, module in model.named_modules():
            if _is_linear(module) and module is not output:
                last = path.rpartition(".")[2]
                targets.add(path if _names_output(model, [last]) else last)
    return sorted(targets)


def linear_names(model: Any) -> list[str]:
    """The last names of all linear modules, sorted: what `lora.target_modules` may hold, beside `all-linear`."""
    return sorted({name.rpartition(".")[2] for name, module in model.named_modules() if _is_linear(module)})


def update_matrices(model: Any) -> dict[str, torch.Tensor]:
    """Name -> matrix B of every adapted module, shape (out features, r); they start at zero."""
    return {name: weight for name, weight in model.named_parameters() if ".lora_B." in name}


def untrained(model: PeftModel, start: Path | None = None) -> list[str]:
    """Names of the adapted modules that did not move: B is zero everywhere, or what PiSSA's `start` holds."""
    begun = load_file(start) if start is not None and pissa.is_pissa(model) else {}
    return [
        name.split(".lora_B.")[0]
        for name, weight in update_matrices(model).items()
        if torch.equal(weight.cpu(), begun.get(name.replace(".default.", "."), torch.zeros_like(weight, device="cpu")))
    ]


def _is_linear(module: Any) -> bool:
    # bitsandbytes' quantized layers are subclasses; GPT-2 calls its transposed kind Conv1D.
    return isinstance(module, torch.nn.Linear) or _is_transposed(module)


def _is_transposed(module: Any) -> bool:
    return type(module).__name__ == "Conv1D"


def _transposed(model: Any, targets: Sequence[str]) -> bool:
    """Whether the targets hold their weights as (in, out); peft asks to be told."""
    return any(_is_transposed(module) and _matches(name, t) for name, module in model.named_modules() for t in targets)


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith("." + target)


def _require_targets(model: Any, targets: Sequence[str]) -> None:
    linear = [name for name, module in model.named_modules() if _is_linear(module)]
    unknown = [
        target for target in targets if not any(_matches(name, target) for name in linear) and target != ALL_LINEAR
    ]
    if unknown:
        raise ModelError(
            f"lora.target_modules: {', '.join(f'`{name}`' for name in unknown)}: no linear module of "
            f"{type(model).__name__} has such a name. There are: {', '.join(linear_names(model))}; `{ALL_LINEAR}` stands for "
            "all but the output layer."
        )


def _require_lengths(model: PeftModel) -> None:
    """DoRA divides by the length of each row of the weights; a row of zeros would make everything NaN."""
    for name, lengths in model.named_parameters():
        if ".lora_magnitude_vector." in name and (empty := int((lengths == 0).sum())):
            module = name.split(".lora_magnitude_vector.")[0].removeprefix("base_model.model.")
            raise ModelError(
                f"lora.use_dora: DoRA divides by the length of each row of the base's weights, and {empty} of {len(lengths)} "
                f"rows of {module} are zero. Take it out of lora.target_modules, or set lora.use_dora: false."
            )


def _names_output(model: Any, targets: Sequence[str]) -> bool:
    output = model.get_output_embeddings()
    return any(module is output and _matches(name, t) for name, module in model.named_modules() for t in targets)
