"""The commands of the harness, a module for each kind of load."""
