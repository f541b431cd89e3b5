"""`dashboard`: the options of the page in a browser, and the commands that it reads and acts by.

Only `app` calls what is here.
"""
