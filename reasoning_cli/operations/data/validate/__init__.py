"""Whether a file can be fine-tuned on: by Together's rules first, and stricter than these.

Called by `data check`, before an upload for training, and for a file that models are evaluated on.
"""
