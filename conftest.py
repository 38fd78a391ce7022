"""Loads the suite's plugins; nothing else belongs here."""

import pytest

# Asserts in these packages must explain themselves as those in tests do.
pytest.register_assert_rewrite("fixtures", "reports")

# Pytest calls the last one first when it begins, and ends it last.
pytest_plugins = [
    "fixtures.run.cluster",
    "fixtures.setup.fixtures_early",
    "fixtures.setup.fixtures_late",
    "fixtures.run.plan",
    "fixtures.run.claims_plugin",
    "fixtures.run.background",
    "fixtures.diagnostics.plugin",
    "fixtures.run.prove",
    "fixtures.run.options",
    "fixtures.run.roles",
    "reports.terminal",
    "reports.recorder",
    "fixtures.run.signals",
]
