"""Silence for what the model libraries say on every load, save and matrix product, so that a task's log can be read.

Errors still come through. It imports nothing heavy, and is called before the heavy libraries are: some speak on import.
"""

from __future__ import annotations

import logging
import os
import warnings

# bitsandbytes: a missing optional kernel on import, and a line for every int8 product on a CPU.
_CHATTY = ("bitsandbytes", "accelerate", "huggingface_hub", "httpx")
_WARNINGS = (
    # peft 0.21 still asks a transformers 5 model for the old name.
    ".*`is_gradient_checkpointing` is deprecated.*",
    ".*`gradient_checkpointing_(enable|disable)` is deprecated.*",
    # bitsandbytes says it once for each shape on a CPU.
    "MatMul8bitLt: inputs will be cast.*",
    # Pinned memory is a matter of CUDA; a CPU has none.
    ".*'pin_memory' argument is set as true.*",
)


def before_import() -> None:
    """Quieten loggers and warnings by name; safe to call again."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    # Read by huggingface_hub when it is imported; a bar drawn into a log file is noise.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def after_import() -> None:
    """Quieten transformers itself, whose bars and log level are set through its own functions."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
