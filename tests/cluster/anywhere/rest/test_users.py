from tests.http.rest.test_users import *  # noqa: F403
