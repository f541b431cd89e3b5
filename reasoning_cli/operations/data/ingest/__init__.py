"""Past decisions from wherever they are, each once: a pipeline, and a reader for each form they come in.

Called by `data import` and by what records the gateway's traffic.
"""
