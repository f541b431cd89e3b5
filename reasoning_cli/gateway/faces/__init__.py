"""The dialects agents speak: how a request is read and an answer written in each. Pure functions on parsed JSON."""
