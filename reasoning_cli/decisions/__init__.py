"""What an agent asks: recognise a decision, read its prompt, parse, check and write its answer. Pure functions."""
