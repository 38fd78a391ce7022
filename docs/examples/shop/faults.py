"""How the shop is broken on purpose, and who has to notice."""

from typing import Any

from fixtures.faults.actions import Apply, Delete, Several, labels
from fixtures.faults.own import OwnFault
from fixtures.faults.rollouts import Scale

SHOP = "bookinfons"
POD = {"containers": [{"name": "app", "image": "registry.example/plain"}]}


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec}


FAULTS = (
    OwnFault(
        name="shop-route-deleted",
        text="The shop's VirtualService is deleted.",
        stage="gateway",
        action=Delete("virtualservices.networking.istio.io", "bookinfo", SHOP),
        fails=("expected/served*", "shop/checkout/there-is-a-book"),
        words=("expected 200, got 404", "from the gateway itself"),
        live=True,
    ),
    OwnFault(
        name="shop-pod-without-sidecar",
        text="The shop's namespace is no longer injected, and gets a new pod.",
        stage="injection",
        action=Several(
            labels("namespaces", SHOP, {"istio-injection": "disabled"}),
            Apply("pods", {"apiVersion": "v1", **_object("Pod", "plain", POD)}, SHOP),
        ),
        fails=("expected/mode*",),
        words=("plain: none",),
        live=True,
    ),
    OwnFault(
        name="shop-refuses-plain-text",
        text="A PeerAuthentication of the shop's namespace is STRICT.",
        stage="mutual-tls",
        action=Apply(
            "peerauthentications.security.istio.io",
            _object("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}}),
            SHOP,
        ),
        fails=("expected/mutual-tls*",),
        words=("answered, though it is plain text, got 5 x no answer (reset",),
        live=True,
    ),
    OwnFault(
        name="shop-details-denied",
        text="An AuthorizationPolicy denies every call of the shop's details.",
        stage="mutual-tls",
        action=Apply(
            "authorizationpolicies.security.istio.io",
            _object(
                "AuthorizationPolicy",
                "denied",
                {
                    "selector": {"matchLabels": {"app": "details"}},
                    "action": "DENY",
                    "rules": [{}],
                },
            ),
            SHOP,
        ),
        fails=("expected/reached*",),
        words=("403 (RBAC: access denied)",),
        live=True,
    ),
    OwnFault(
        name="shop-uncounted",
        text="The shop's Prometheus is scaled to no pod.",
        stage="addons",
        action=Scale("istio-system", ("prometheus",)),
        fails=("expected/rising*", "shop/counting/every-pod-is-scraped"),
        words=("no pod of Service istio-system/prometheus is ready",),
        live=True,
    ),
)
