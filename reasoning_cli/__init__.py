"""Run an agent's decisions on your own fine-tuned models."""

__version__ = "0.1.0"
