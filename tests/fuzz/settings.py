"""The settings of a service that is being fuzzed."""

from taskexport.settings import *  # noqa: F403

EXECUTE_WAIT_SECONDS = 0  # no worker runs, so no end would come
