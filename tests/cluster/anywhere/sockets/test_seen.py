from tests.e2e.test_seen import *  # noqa: F403
