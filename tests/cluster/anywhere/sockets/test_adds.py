from tests.e2e.test_adds import *  # noqa: F403
