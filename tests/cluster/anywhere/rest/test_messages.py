from tests.http.rest.test_messages import *  # noqa: F403
