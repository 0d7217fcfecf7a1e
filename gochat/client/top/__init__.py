"""`gochat top`: a node as its operators see it, live in a terminal.

`reading` asks the server, `figures` works out what is told of it, `views` makes rows, `screen` shows them and has keys.
"""
