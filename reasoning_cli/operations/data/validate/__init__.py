"""Whether a file can be fine-tuned on: by Together's rules first, and stricter than these.

Called by `data check`, and before an upload for training.
"""
