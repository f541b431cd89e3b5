"""Together's API: one client, its calls by what they are about, and what its errors mean.

Found by `engines.registry`, and named by nobody else; calls `engines` itself and the files at the top.
"""
