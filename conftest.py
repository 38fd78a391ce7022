"""Loads the suite's plugins; nothing else belongs here."""

import pytest

# Asserts in these packages must explain themselves as those in tests do.
pytest.register_assert_rewrite("fixtures", "reports")

# Pytest calls the last one first when it begins, and ends it last.
pytest_plugins = [
    "fixtures.plugins.cluster",
    "fixtures.plugins.world",
    "fixtures.plugins.world_traffic",
    "fixtures.plugins.plan",
    "fixtures.plugins.claims",
    "fixtures.plugins.ahead",
    "fixtures.plugins.diagnostics",
    "fixtures.plugins.prove",
    "fixtures.plugins.options",
    "fixtures.plugins.roles",
    "reports.terminal",
    "reports.recorder",
    "fixtures.plugins.lifetime",
]
