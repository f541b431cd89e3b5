"""Keys and personal data in text: what they look like, whether they check out, and placeholders in their place.

Called by operations; calls nothing of ours but the files at the top. What must not be printed is `redact.py`'s.
"""
