"""A small model trained and served on this machine: the trainer, the server, and what `local_model` needs of both."""
