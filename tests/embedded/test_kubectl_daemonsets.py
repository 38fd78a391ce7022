"""DaemonSets of the embedded cluster as real kubectl sees them: rolled out and described."""

import re
import shutil

import pytest

from tests.embedded.test_kubectl import Kubectl, kubectl

__all__ = ["kubectl"]

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on the PATH")
DAEMON_SET = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: "registry.k8s.io/pause:3.9"}]}
"""


def test_a_daemon_set_is_rolled_out_and_described(kubectl: Kubectl) -> None:
    kubectl("apply -f -", DAEMON_SET)
    try:
        whole = 'daemon set "agent" successfully rolled out\n'
        assert kubectl("rollout status ds/agent --timeout=30s").endswith(whole)
        kubectl("set image ds/agent agent=registry.k8s.io/pause:3.10")
        assert kubectl("rollout status ds/agent --timeout=30s").endswith(whole)
        assert "pause:3.10" in kubectl("get pods -l app=agent -o jsonpath={..image}")
        assert "no last revision to roll back to" in kubectl.request("rollout undo ds/agent").err
        reported = kubectl("describe ds/agent")
        assert "Number of Nodes Scheduled with Available Pods: 1" in reported
        assert re.search(
            r"SuccessfulDelete .* daemonset-controller +Deleted pod: agent-", reported
        )
    finally:
        kubectl("delete ds/agent")
