"""The load harness: `python -m bench --help`. It measures a server from outside and checks every byte that it gets.

It shares no code with the server: a mistake of the server's own codec must not hide itself.
"""
