from tests.e2e.test_conversation import *  # noqa: F403
