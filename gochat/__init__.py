"""gochat: private and group chat that loses nothing, from one process on a laptop to a cluster."""

__version__ = "0.1.0"
