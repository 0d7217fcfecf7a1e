"""Transports move bytes and know no chat."""
