"""Chat completions: who answers, what is said, which tools are called; the same every time.

Called by the routes; training leaves here what a model has learned.
"""
