"""The seams: what the actors and sessions ask of the outside, with the promises in words.

A port never waits for an actor. Every implementation of a port passes that port's suite in tests/contracts/.
"""
