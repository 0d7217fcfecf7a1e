"""Makes the documents that describe the interface: for programs (OpenAPI, AsyncAPI) and for people (`/docs`).

`make docs` writes them into `gochat/http/files`, from which `documents.py` serves them. A node imports nothing of this.
"""
