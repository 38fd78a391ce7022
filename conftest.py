"""Loads the suite's plugins; nothing else belongs here.

Their order does not matter: each says beside its hooks what must come first.
"""

from fixtures.run import early

early.listen()  # what the plugins import takes a while

pytest_plugins = [
    "fixtures.run.background",
    "fixtures.run.cluster",
    "fixtures.run.collecting",
    "fixtures.run.gating",
    "fixtures.run.options",
    "fixtures.run.plan",
    "fixtures.run.prove",
    "fixtures.run.reading",
    "fixtures.run.requested",
    "fixtures.run.roles",
    "fixtures.run.signals",
    "fixtures.setup.addons",
    "fixtures.setup.ambient",
    "fixtures.setup.ambient_traffic",
    "fixtures.setup.background",
    "fixtures.setup.clients",
    "fixtures.setup.cluster",
    "fixtures.setup.configuration",
    "fixtures.setup.expected",
    "fixtures.setup.gateway",
    "fixtures.setup.gateway_api",
    "fixtures.setup.gateways",
    "fixtures.setup.installation",
    "fixtures.setup.kube_inject",
    "fixtures.setup.mesh_sample",
    "fixtures.setup.mutual_tls",
    "fixtures.setup.observability",
    "fixtures.setup.probes",
    "fixtures.setup.restart",
    "fixtures.setup.sample",
    "fixtures.setup.traffic",
    "fixtures.setup.webhooks",
    "fixtures.setup.workloads",
    "fixtures.diagnostics.plugin",
    "reports.recorder",
    "reports.terminal",
]
