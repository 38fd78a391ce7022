"""What listings say, cell by cell."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fixtures.providers.embedded.apiserver.printers import human_duration, pod_state, since, table
from tests.recordings import ISTIO_1_29, state_of

Body = dict[str, Any]

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (119, "119s"),
        (120, "2m"),
        (131, "2m11s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_an_age_is_reported_as_kubernetes_says_it(seconds: int, printed: str) -> None:
    assert human_duration(seconds) == printed


RUNNING = {"running": {"startedAt": "2030-01-01T11:59:00Z"}}


def pod(**changes: Any) -> Body:
    """A pod with a native sidecar, everything running; `changes` go into status or spec."""
    body: Body = {
        "metadata": {"name": "p"},
        "spec": {
            "initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "app"}],
        },
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": "True"},
            ],
            "initContainerStatuses": [
                {"name": "setup", "state": {"terminated": {"exitCode": 0}}},
                {"name": "proxy", "state": RUNNING, "started": True, "ready": True},
            ],
            "containerStatuses": [{"name": "app", "state": RUNNING, "ready": True}],
        },
    }
    body["metadata"] |= changes.pop("metadata", {})
    body["status"] |= changes
    return body


def waiting(reason: str) -> Body:
    return {"waiting": {"reason": reason}}


NOT_INITIALIZED = [{"type": "Initialized", "status": "False"}]
CRASHED_BEFORE = {"terminated": {"exitCode": 3, "finishedAt": "2030-01-01T11:59:55Z"}}


@pytest.mark.parametrize(
    ("shown", "body"),
    [
        (("2/2", "Running", "0"), pod()),
        (
            ("0/2", "Init:0/2", "0"),
            pod(phase="Pending", conditions=NOT_INITIALIZED, initContainerStatuses=[
                {"name": "setup", "state": RUNNING},
                {"name": "proxy", "state": waiting("PodInitializing")},
            ], containerStatuses=[{"name": "app", "state": waiting("PodInitializing")}]),
        ),
        (
            ("0/2", "Init:1/2", "0"),
            pod(phase="Pending", conditions=NOT_INITIALIZED, initContainerStatuses=[
                {"name": "setup", "state": {"terminated": {"exitCode": 0}}},
                {"name": "proxy", "state": waiting("PodInitializing")},
            ], containerStatuses=[{"name": "app", "state": waiting("PodInitializing")}]),
        ),
        (
            ("0/2", "Init:Error", "0"),
            pod(phase="Pending", conditions=NOT_INITIALIZED, initContainerStatuses=[
                {"name": "setup", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}},
            ]),
        ),
        (
            ("1/2", "PodInitializing", "0"),
            pod(containerStatuses=[{"name": "app", "state": waiting("PodInitializing")}]),
        ),
        (
            ("1/2", "CrashLoopBackOff", "2 (5s ago)"),
            pod(containerStatuses=[{
                "name": "app", "state": waiting("CrashLoopBackOff"),
                "lastState": CRASHED_BEFORE, "restartCount": 2,
            }]),
        ),
        (
            ("1/2", "Error", "0"),
            pod(containerStatuses=[
                {"name": "app", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
            ]),
        ),
        (
            ("1/2", "ErrImagePull", "0"),
            pod(containerStatuses=[{"name": "app", "state": waiting("ErrImagePull")}]),
        ),
        (
            ("2/2", "Terminating", "0"),
            pod(metadata={"deletionTimestamp": "2030-01-01T12:00:30Z"}),
        ),
        (("0/2", "Pending", "0"), pod(
            phase="Pending", conditions=[], initContainerStatuses=[], containerStatuses=[],
        )),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_pods_state_is_one_word(shown: tuple[str, str, str], body: Body) -> None:
    assert pod_state(body, since(NOW)) == shown


def row(kind: str, body: Body, columns: list[Body] | None = None) -> list[Any]:
    body.setdefault("metadata", {}).setdefault("name", "x")
    body["metadata"].setdefault("creationTimestamp", "2030-01-01T11:59:50Z")
    answer = table(kind, [body], columns=columns, now=NOW)
    cells: list[Any] = answer["rows"][0]["cells"]
    assert len(cells) == len(answer["columnDefinitions"])
    return cells


def test_a_pending_load_balancer_with_node_ports() -> None:
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    spec = {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": ports}
    assert row("services", {"spec": spec, "status": {"loadBalancer": {}}}) == [
        *("x", "LoadBalancer", "10.0.0.1", "<pending>", "80:30080/TCP,53/UDP", "10s", "<none>")
    ]


def test_the_fourth_endpoint_is_only_counted() -> None:
    addresses = [{"ip": f"10.0.0.{n}"} for n in range(1, 5)]
    body = {"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]}
    assert row("endpoints", body)[1] == "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more..."
    assert row("endpoints", {"subsets": []})[1] == "<none>"


def test_a_definitions_own_columns_are_read_from_the_object() -> None:
    columns: list[Body] = [
        {"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts"},
        {"name": "Up", "type": "string", "jsonPath": ".status.list[?(@.type=='Up')].status"},
        {"name": "Weight", "type": "integer", "jsonPath": ".spec.weight"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    body = {"spec": {"hosts": ["*"]}, "status": {"list": [{"type": "Up", "status": "yes"}]}}
    assert row("things.example.com", body, columns) == ["x", '["*"]', "yes", None, "10s"]


def test_a_custom_resource_without_columns_shows_its_age() -> None:
    assert row("things.example.com", {}, []) == ["x", "10s"]


def test_a_builtin_kind_without_columns_shows_when_it_was_made() -> None:
    kind = "clusterroles.rbac.authorization.k8s.io"
    assert row(kind, {}) == ["x", "2030-01-01T11:59:50Z"]


@pytest.mark.parametrize("include", ["Metadata", "Object", "None"])
def test_a_row_holds_as_much_of_the_object_as_was_requested(include: str) -> None:
    body = {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {}}
    held = table("configmaps", [body], include, now=NOW)["rows"][0]["object"]
    kinds = {"Metadata": "PartialObjectMetadata", "Object": "ConfigMap", "None": None}
    assert (held or {}).get("kind") == kinds[include]


def test_columns_and_rows_are_those_of_a_real_server() -> None:
    state: dict[str, Any] = state_of("7-gateway")
    compared = 0
    for name in ISTIO_1_29.names("api/table", ".json"):
        exchange = ISTIO_1_29.json(f"api/table/{name}.json")
        path, real = exchange["request"]["path"].split("/"), exchange["response"]["body"]
        group, place = ("", path[3:]) if path[1] == "api" else (path[2], path[4:])
        place = place[2:] if place[0] == "namespaces" and len(place) > 2 else place
        plural = place[0].split("?")[0]
        kind = f"{plural}.{group}" if group else plural
        version = "/".join(path[2:4]) if group else "v1"
        objects = state.get(f"{version}/{plural}", [])
        columns = _printer_columns(state, kind) if group.endswith("istio.io") else None
        ours = table(kind, objects, columns=columns, now=NOW)
        assert _signs(ours) == _signs(real), name
        rows = {r["cells"][0]: r["cells"] for r in ours["rows"]}
        ages = {n for n, c in enumerate(real["columnDefinitions"]) if c["name"] == "Age"}
        for cells in (r["cells"] for r in real["rows"] or [] if r["cells"][0] in rows):
            mine = rows[cells[0]]
            assert [c for n, c in enumerate(mine) if n not in ages] == [
                c for n, c in enumerate(cells) if n not in ages
            ], name
            compared += 1
    assert compared > 50


def _signs(answer: Body) -> list[tuple[Any, ...]]:
    return [
        (c["name"], c["type"], c["format"], c["priority"], bool(c["description"]))
        for c in answer["columnDefinitions"]
    ]


def _printer_columns(state: dict[str, Any], kind: str) -> list[Body]:
    definitions = state["apiextensions.k8s.io/v1/customresourcedefinitions"]
    spec = next(d["spec"] for d in definitions if d["metadata"]["name"] == kind)
    version: Body = next(v for v in spec["versions"] if v["name"] == "v1")
    return list(version.get("additionalPrinterColumns", []))
