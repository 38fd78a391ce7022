"""Loads the suite's plugins; nothing else belongs here."""

import pytest

# Asserts in these packages must explain themselves as those in tests do.
pytest.register_assert_rewrite("fixtures", "reports")

pytest_plugins = [
    "fixtures.plugins.options",
    "fixtures.plugins.cluster",
    "fixtures.plugins.world",
    "fixtures.plugins.claims",
    "fixtures.plugins.diagnostics",
    "reports.recorder",
]
