"""`reasoning train`: from the log to a better model, judged and brought into its slot.

Called by `app` when it is typed; the guard tends the loops of `auto`.
"""
