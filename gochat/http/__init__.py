"""HTTP/1.1 on the port that WebSocket shares: h11 around the stream, ASGI around a Starlette app."""
