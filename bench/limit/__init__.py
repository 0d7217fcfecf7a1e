"""Yardsticks: the least that a server in Python can do. Each is a program of at most 60 lines."""
