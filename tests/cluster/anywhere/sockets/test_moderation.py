from tests.e2e.test_moderation import *  # noqa: F403
