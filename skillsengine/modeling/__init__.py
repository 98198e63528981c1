"""Base, tokenizer and quantization, LoRA, batches, generation."""

from skillsengine.modeling import quiet

quiet.before_import()
