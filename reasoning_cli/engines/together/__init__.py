"""Together's API: one client, its calls by what they are about, and what its errors mean.

Called by operations, commands and the gateway; calls nothing but the files at the top.
"""
