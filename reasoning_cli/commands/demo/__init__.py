"""`reasoning demo`: real commands with their real output, on a sandbox of their own that is gone afterwards.

Called by `app` when it is typed; tests and benchmarks take their decisions from `synthetic_agent`.
"""
