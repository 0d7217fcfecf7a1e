from tests.e2e.test_sight import *  # noqa: F403
