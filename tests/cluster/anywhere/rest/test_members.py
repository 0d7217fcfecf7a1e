from tests.http.rest.test_members import *  # noqa: F403
