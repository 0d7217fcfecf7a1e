"""The page at `/docs/api`: the two generated documents as plain HTML, with nothing from outside and no script."""

from gochat.http.describe.page.page import POLICY, page

__all__ = ["POLICY", "page"]
