"""The pages, a file each: what is asked, and how it is laid out.

Each is registered once a process, with the context that all share. For `server` only.
"""
