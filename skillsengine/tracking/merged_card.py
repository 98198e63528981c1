"""README.md of a merged model: what it was merged from, how that was checked, and how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml


def merged_card(
    *,
    version: str,
    record: Mapping[str, Any],
    template: str,
    max_new_tokens: int,
    lineage: Mapping[str, Any],
    adapter_card: str,
    dtype: str,
    checked: str,
) -> str:
    """The card's text. `adapter_card` is that of the version, whose metadata for the Hub are taken over; it may be empty.

    `checked` says how far the merged model agrees with base and adapter.
    """
    fields = _front_matter(adapter_card)
    fields |= {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if "base_model" in fields:
        fields["base_model_relation"] = "finetune"
    base = f"`{record['model']}`" + (f" at `{record['revision']}`" if record.get("revision") else "")
    quantized = "" if record["quantization"] == "none" else f" It was trained on that base in {record['quantization']}."
    weights = f" (weights sha256 `{record['weights_sha256']}`)" if record.get("weights_sha256") else ""
    return f"""---
{yaml.safe_dump(fields, sort_keys=True, allow_unicode=True)}---

# {version}, merged

The LoRA adapter {version}, merged into its unquantized base {base}{weights}, in {dtype}.{quantized}

{checked}

## How to use it

In the folder of this card; vLLM takes the folder's path too (`vllm serve .`).

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")

ad = "We look for a welder with TIG welding and first aid."
prompt = {json.dumps(template, ensure_ascii=False)}.replace("{{text}}", ad)
inputs = tokenizer(prompt, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens={max_new_tokens}, do_sample=False)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```

## Lineage

```json
{json.dumps(lineage, indent=1, sort_keys=True)}
```
"""


def _front_matter(card: str) -> dict[str, Any]:
    parts = card.split("---\n", 2)
    return dict(yaml.safe_load(parts[1])) if card.startswith("---\n") and len(parts) == 3 else {}
