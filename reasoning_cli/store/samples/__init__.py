"""The training log: one row a decision, what people said of it, how it is found, rewritten, exported and thrown away.

Stands on the database alone; the other folders of the store may use it, it uses none of them.
"""
