"""Whatever answers decisions or trains models, a folder an engine: `together`, `openai` (an operator's own
server), `head` (a classifier in this process).

Called by `operations`, `gateway` and `commands`. Nothing here knows of them or of the store.
"""
