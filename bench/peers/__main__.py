"""`python -m bench.peers`."""

from __future__ import annotations

from bench.peers.cli import main

if __name__ == "__main__":
    main(prog_name="python -m bench.peers")
