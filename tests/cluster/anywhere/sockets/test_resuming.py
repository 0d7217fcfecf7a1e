from tests.e2e.test_resuming import *  # noqa: F403
