"""What an agent asks: recognise a decision, read its prompt, parse, check and write its answer. Pure functions.

Called by operations, commands and the gateway; calls nothing but the files at the top.
"""
