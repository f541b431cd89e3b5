"""Old samples as Parquet partitions of a type and a day, in a folder or object storage, and an index of what is where.

Called by `commands.data`, and by what reads datasets: `operations.data.export` and `operations.evaluate`.
"""
