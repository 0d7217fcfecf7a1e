from tests.http.rest.test_people import *  # noqa: F403
