"""A tiny version that has learned a few answers by heart: lists, other ones for other ads, and far from ties."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from skillsengine.modeling.answers import render_answer
from skillsengine.modeling.base import load_base
from skillsengine.modeling.batches import collate
from skillsengine.modeling.encoding import encode
from skillsengine.scoring.few_shot import fill
from skillsengine.spec.schema import Base
from tests.stages.finetuned import BASE, TEMPLATE
from tests.stages.registered import make_version

TAUGHT = {
    "We look for a welder with TIG welding and first aid.": ["TIG welding", "first aid"],
    "A nurse. Spanish, wound care and budget planning; reading blueprints is a plus for the night shift.": ["Spanish"],
    "Docker.": ["Docker"],
    "A developer with Python and SQL.": ["Python", "SQL"],
    "First aid": ["First aid"],
    "Budget planning, Docker, Python: all of it at once, and a little SQL in the evening.": [],
}
_STEPS = 120


def make_taught_version(project: Path) -> Path:
    """A project with the version; returns its folder. The base knows the answers, the adapter adds nothing."""
    (project / "experiments").mkdir(parents=True)
    version = make_version(project, targets=("q_proj", "v_proj"))
    teach(project / BASE)
    weights = version / "adapter_model.safetensors"
    save_file({name: value * ("lora_B" not in name) for name, value in load_file(weights).items()}, weights)
    record = json.loads((version / "version.json").read_text())
    base = load_base(Base(model=BASE), "cpu", bases=project, allowed_roots=(project,))
    record["base"]["weights_sha256"], record["max_new_tokens"] = base.weights_sha256, 40
    (version / "version.json").write_text(json.dumps(record))
    return version


def teach(base: Path) -> None:
    """Let a tiny base, a folder, learn the answers by heart."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    rows = [
        encode(fill(TEMPLATE, text), render_answer(skills), tokenizer, model.config.max_position_embeddings)
        for text, skills in TAUGHT.items()
    ]
    batch = collate(rows, tokenizer.pad_token_id)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(_STEPS):
        loss = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(base)
