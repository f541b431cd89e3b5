"""A trainer for `reasoning train start TYPE --engine command`: LoRA with TRL and PEFT, on a GPU where there is one.

Needs `pip install torch transformers trl peft`. Reads what `train start` sets: the files, the base, where to write. The
adapter is merged into the base, so that any server can load what comes out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--steps", type=int, default=-1, help="at most; default: by the epochs")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=0, help="adapt the last so many; default: all")
    return parser


def main() -> None:
    chosen = parser().parse_args()

    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    base, output = os.environ["REASONING_BASE_MODEL"], Path(os.environ["REASONING_OUTPUT_DIR"])
    seed = int(os.environ.get("REASONING_SEED", "0"))
    samples = load_dataset("json", data_files=os.environ["REASONING_TRAIN_FILE"], split="train")
    samples = samples.map(_prompt_and_answer, remove_columns=samples.column_names)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    last = range(model.config.num_hidden_layers)[-chosen.layers :] if chosen.layers else None
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=samples,
        args=SFTConfig(
            output_dir=str(output / "checkpoints"),
            num_train_epochs=chosen.epochs,
            max_steps=chosen.steps,
            per_device_train_batch_size=chosen.batch,
            learning_rate=chosen.rate,
            lr_scheduler_type="cosine",
            warmup_steps=5,
            max_length=1024,
            logging_steps=5,
            save_strategy="no",
            report_to="none",
            seed=seed,
            gradient_checkpointing=False,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
        ),
        peft_config=LoraConfig(
            r=chosen.rank,
            lora_alpha=2 * chosen.rank,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
            layers_to_transform=list(last) if last is not None else None,
            task_type="CAUSAL_LM",
        ),
    )
    trainer.train()
    trainer.model.merge_and_unload().save_pretrained(output)
    tokenizer.save_pretrained(output)


def _prompt_and_answer(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample as TRL counts the loss of its answer alone."""
    return {"prompt": sample["messages"][:-1], "completion": sample["messages"][-1:]}


if __name__ == "__main__":
    main()
