"""Settings: the only reader of the environment.

`settings.py` says what there is to set, `sources.py` finds it (the process environment, `.env`,
files of secrets), `loading.py` checks it as a whole, `variables.py` describes each variable for
people. Everything is frozen and passed on.
"""

from orchestrator_worker.config.loading import Loaded, load, load_settings
from orchestrator_worker.config.settings import (
    MIN_SECRET_BYTES,
    CorsSettings,
    PathSettings,
    RateLimitSettings,
    RetrySettings,
    RoleSettings,
    Settings,
)
from orchestrator_worker.config.sources import ENV_FILE, REPLACED, process_variable
from orchestrator_worker.config.variables import Variable, variable_names, variables

__all__ = [
    "ENV_FILE",
    "MIN_SECRET_BYTES",
    "REPLACED",
    "CorsSettings",
    "Loaded",
    "PathSettings",
    "RateLimitSettings",
    "RetrySettings",
    "RoleSettings",
    "Settings",
    "Variable",
    "load",
    "load_settings",
    "process_variable",
    "variable_names",
    "variables",
]
