from tests.http.rest.test_groups import *  # noqa: F403
