"""Seeded tiny bases for tests: real models of a few ten thousand parameters, with a real tokenizer, saved as folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"

_TEXT = """### Job Description: We look for a nurse with wound care, first aid and Spanish; a welder with TIG welding
and reading blueprints; a developer with Python, SQL, Docker and budget planning.
### Skills: ["wound care", "first aid", "Spanish", "TIG welding", "Python", "SQL"]
"""


def make_tiny_base(
    folder: Path,
    *,
    tied: bool = True,
    seed: int = 0,
    pad: bool = True,
    hidden: int = 64,
    context: int = 512,
    architecture: str = "llama",
    **settings: Any,
) -> Path:
    """Write a tiny Llama (2 layers, 4 heads, 320 byte-level tokens) and its tokenizer into `folder`; return `folder`.

    `tied`: whether the output layer is the embedding. `pad=False`: no pad token, as in Llama-2. `architecture`: another
    one, by its `model_type` of transformers; `settings` are added to its config. The same arguments give the same weights.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[BOS, EOS, PAD] if pad else [BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_TEXT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD if pad else None
    )
    sizes = (
        {"n_embd": hidden, "n_layer": 2, "n_head": 4, "n_positions": context}
        if architecture == "gpt2"
        else {
            "hidden_size": hidden,
            "intermediate_size": 2 * hidden,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": context,
        }
    )
    config = AutoConfig.for_model(
        architecture,
        # transformers' tokenizers of some families add a token of theirs when they are loaded.
        vocab_size=len(fast) + (0 if architecture == "llama" else 8),
        tie_word_embeddings=tied,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
        **(sizes | settings),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
