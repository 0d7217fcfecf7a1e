"""Actors: each user and each room is one, with a mailbox of its own, under a supervisor. No actor waits for another."""
