"""What the program does, without asking anybody or showing anything; a folder a domain, a file a verb or a thing.

Called by `commands/` and `gateway/`. The domains stand in one order, which `tests/test_layers.py` holds.
"""
