from tests.e2e.test_presence import *  # noqa: F403
