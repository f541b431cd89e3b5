"""Where past decisions lie outside our own log: files, an agent's database, its server. Reads only.

Called by the import in `operations/data/ingest` and by its command; calls nothing but the files at the top.
"""
