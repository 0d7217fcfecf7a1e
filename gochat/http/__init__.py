"""HTTP/1.1 on the port that WebSocket shares: h11 around the stream, and handlers that turn requests into responses."""
