from tests.e2e.test_rules import *  # noqa: F403
