"""Load a base and its tokenizer: the built-in one, a local folder or a Hub model; as it is, in nf4 or in int8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import prepare_model_for_kbit_training
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from skillsengine.modeling import quiet
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.location import Location, locate
from skillsengine.spec.schema import Base

__all__ = ["LoadedBase", "ModelError", "compute_dtype", "context_length_of", "load_base", "load_tokenizer"]

quiet.after_import()

_DEFAULT_CONTEXT = 2048
_UNLIMITED = 10**9
"""transformers writes 1e30 as `model_max_length` where a tokenizer does not say."""


@dataclass(frozen=True)
class LoadedBase:
    """A base in memory, or a base with an adapter on it."""

    model: Any
    """transformers' model, or a PeftModel around it; in eval mode unless it was loaded for training."""
    tokenizer: Any
    """Its tokenizer; `pad_token_id` is always set, never by adding a token."""
    context_length: int
    """Longest text in tokens that the model was made for."""
    revision: str | None
    """Commit of a Hub model."""
    weights_sha256: str | None
    """Of a local folder's weights; of the GGUF file that the built-in base is made from; None of a Hub model."""
    dtype: str
    """`float32` or `bfloat16`: what it computes in."""

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device


def compute_dtype(device: str) -> torch.dtype:
    """float32 on a CPU, where 16 bits are 20 times slower; bfloat16 on CUDA."""
    return torch.float32 if device == "cpu" else torch.bfloat16


def load_base(
    base: Base,
    device: str,
    *,
    bases: Path,
    allowed_roots: Sequence[Path],
    for_training: bool = False,
    dtype: str | None = None,
) -> LoadedBase:
    """Load `base` onto `device` (`cpu` or `cuda`) from safetensors only, without running code from its folder.

    `bases` holds converted built-in bases; a local folder must lie inside `allowed_roots`, whose first entry relative
    names start from. `for_training` prepares a quantized base for it (norms in float32, gradients reach the adapters).
    `dtype`: `float32` or `bfloat16`; None takes what the device computes fast in.

    Raises ModelError: unknown base, not a model folder, gated, no CUDA here, or weights that cannot be read.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            f"resources.device: `cuda`, but this machine shows no CUDA device to torch {torch.__version__}. "
            "Run it on a GPU worker (resources.queue), or set resources.device: cpu."
        )
    location = locate(base, bases=bases, allowed_roots=allowed_roots)
    tokenizer = _tokenizer(base.model, location)
    number_format = getattr(torch, dtype) if dtype else compute_dtype(device)
    with _told(
        f"base.model: `{base.model}` cannot be loaded as a causal language model",
        f" Its files are in {location.folder}.",
    ):
        model, info = AutoModelForCausalLM.from_pretrained(
            location.folder,
            dtype=number_format,
            device_map={"": device},
            quantization_config=_quantization(base.quantization, number_format),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    _require_all_weights(info, base.model, location)
    _fit_tokens(model, tokenizer, base.model)
    model.eval()
    if for_training and base.quantization != "none":
        if number_format == torch.float32:
            # Checkpointing of activations is the trainer's to decide.
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
            _keep_differentiable(model)
        else:
            # peft would make norms and embedding float32, and with them all that flows between the layers: twice the memory
            # and traffic. They are bfloat16 as beside an unquantized base; a norm computes in float32 anyway.
            model.requires_grad_(False)
    return LoadedBase(
        model,
        tokenizer,
        _context_length(model.config, tokenizer),
        location.revision,
        location.weights_sha256,
        str(number_format).removeprefix("torch."),
    )


def load_tokenizer(base: Base, *, bases: Path, allowed_roots: Sequence[Path]) -> Any:
    """The tokenizer alone, as `load_base` would give it; of a Hub model no weights are fetched. Raises ModelError."""
    return _tokenizer(base.model, locate(base, bases=bases, allowed_roots=allowed_roots, tokenizer_only=True))


def context_length_of(base: Base, *, bases: Path, allowed_roots: Sequence[Path]) -> int:
    """Longest text in tokens that the base was made for, read without its weights. Raises ModelError."""
    location = locate(base, bases=bases, allowed_roots=allowed_roots, tokenizer_only=True)
    with _told(f"base.model: config.json of `{base.model}` in {location.folder} cannot be read"):
        config = AutoConfig.from_pretrained(location.folder, trust_remote_code=False)
    return _context_length(config, _tokenizer(base.model, location))


def _quantization(kind: str, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    if kind == "nf4":
        return BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    return BitsAndBytesConfig(load_in_8bit=True) if kind == "int8" else None


def _tokenizer(name: str, location: Location) -> Any:
    with _told(f"base.model: the tokenizer of `{name}` in {location.folder} cannot be read"):
        # AutoTokenizer: LlamaTokenizer silently loses the spaces of some Llama vocabularies.
        tokenizer = AutoTokenizer.from_pretrained(location.folder, trust_remote_code=False)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"base.model: the tokenizer of `{name}` has no end-of-text token, so no answer would ever end. "
            "Set `eos_token` in its tokenizer_config.json."
        )
    if tokenizer.pad_token_id is None:
        # Llama-2 has none. A new token would resize the embeddings; padding is masked anyway, so an old one serves.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def _keep_differentiable(model: Any) -> None:
    """Forbid bitsandbytes to repack 4-bit weights for a CPU's bfloat16 unit.

    It does so at the first forward pass in eval mode, for good, and the packed product has no gradient: a training would
    go on after its first evaluation with wrong gradients and a single warning.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _require_all_weights(info: Mapping[str, Any], name: str, location: Location) -> None:
    """What a file lacks, transformers fills with random numbers."""
    absent = [*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])]
    if absent:
        raise ModelError(
            f"base.model: `{name}` is not whole: {len(absent)} of its weights are missing or of another shape in "
            f"{location.folder} (the first: {min(absent)}). Get its *.safetensors files again."
        )


def _fit_tokens(model: Any, tokenizer: Any, name: str) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"base.model: the tokenizer of `{name}` knows {len(tokenizer)} tokens, its embeddings only {rows}: "
            "the folder mixes two models. Save tokenizer and model of one and the same checkpoint."
        )


def _context_length(config: Any, tokenizer: Any) -> int:
    for field in ("max_position_embeddings", "n_positions"):
        if isinstance(length := getattr(config, field, None), int):
            return length
    return tokenizer.model_max_length if tokenizer.model_max_length < _UNLIMITED else _DEFAULT_CONTEXT


@contextmanager
def _told(what: str, where: str = "") -> Iterator[None]:
    """Files of foreign make break transformers and tokenizers at any place and with any kind of error (a bare `Exception`, an
    AttributeError of torch): all are told in our words but a lack of memory, which is no mistake of the files."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ModelError(f"{what}: {_first_line(error)}{where}") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0] or type(error).__name__
    return text if text.endswith(".") else text + "."
