from tests.e2e.test_relations import *  # noqa: F403
