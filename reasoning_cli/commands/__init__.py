"""What is typed: a folder a noun, a file a verb; each reads its options, calls `operations/` and shows what came.

A folder's `app.py` names its commands. Called by `app` alone, which imports a noun when it is used. A file that begins
with an underscore belongs to its folder; what several nouns need is in `_shared/`.
"""
