"""Data that leaves a node as one file, and comes back: rooms, and the records kept of a user.

Plain functions on files. They know no trio: the command line calls them, and the REST door in a thread.
"""
