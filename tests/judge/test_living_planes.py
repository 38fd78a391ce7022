"""Meshes that people have, as far as control planes and proxies tell: which are whole, which not.

A test is called by its row: H a healthy state that must not be called broken, B a broken one that
must be noticed. Each is a recorded cluster, changed as the row says.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.claims import ClaimFailed, NotTested, Observation, start_observing
from fixtures.claims.deadlines import STEADY, documented_limit
from fixtures.claims.waiting import wait_policy
from fixtures.istio.control_plane import ControlPlane
from fixtures.istio.planes import DEPLOYMENTS
from fixtures.istio.proxies import METRICS, PAGE
from fixtures.istio.releases import Expected
from fixtures.istio.wasm import PAGE as FILTERS
from fixtures.istio.webhook import KINDS
from fixtures.istio.webhooks import Webhooks
from fixtures.istio.workloads import Workloads
from fixtures.k8s import Body, Refused, Reply, Unreachable
from fixtures.k8s.service import SLICES
from tests.judge.replay import Replay
from tests.judge.world import World, access_of
from tests.recordings import BY_HAND, ISTIO_1_29
from tests.unit.states import as_kube

WASM = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
ADDRESS = "type.googleapis.com/istio.workload.Address"
Entry = dict[str, Any]
# Where a pod's own istio-init leaves the traffic of a user alone.
INIT, USER = "istio-init", "-u"


class Pages(Replay):
    """A recorded state whose istiods answer each for itself: a status and a text by pod's name.

    Attributes:
        fetched: the pages that were asked for, by pod.
    """

    def __init__(self, state: str, **known: Any) -> None:
        super().__init__(state, apart=True, **known)
        self.pages: dict[str, tuple[int, str]] = {}
        self.metrics = self.filters = ""
        self.fetched: list[str] = []

    @contextmanager
    def forward(self, pod: str, _namespace: str, _port: int) -> Iterator[Any]:
        def get(path: str, *_: Any) -> Reply:
            if path == METRICS:
                return Reply(200, {}, self.metrics)
            self.fetched.append(pod)
            if path == FILTERS and self.filters:
                return Reply(200, {}, self.filters)
            if pod not in self.pages:
                raise Unreachable("connection refused")
            assert path == PAGE
            return Reply(self.pages[pod][0], {}, self.pages[pod][1])

        if self.find("pods", pod, _namespace) is None:
            raise Refused(404, message=f'pods "{pod}" not found')
        yield SimpleNamespace(get=get)

    def lists(self, pod: str, *entries: Entry) -> None:
        """Have an istiod list these proxies."""
        self.pages[pod] = (200, json.dumps(entries))


@pytest.fixture(autouse=True)
def _hurry() -> Iterator[None]:
    with wait_policy(factor=0.001):
        yield


def mesh() -> tuple[Pages, str, list[Entry]]:
    """The injected sample of a demo profile, the name of its istiod, and what it lists."""
    kube = Pages("4-injected")
    istiod = next(p for p in kube.list("pods", labels="app=istiod") if _runs(p))
    listed: list[Entry] = ISTIO_1_29.json("istio/istiod-syncz.json")
    running = {_proxy(pod) for pod in kube.list("pods") if _runs(pod)}
    entries = [entry for entry in listed if entry["proxy"] in running]
    template = entries[0]
    entries += [
        {**template, "proxy": name}
        for pod in kube.list("pods")
        if _runs(pod) and _has_proxy(pod) and (name := _proxy(pod)) not in {*map(_name, entries)}
    ]
    kube.lists(istiod["metadata"]["name"], *entries)
    return kube, istiod["metadata"]["name"], entries


def workloads(kube: Pages) -> Workloads:
    access = access_of("1.29.6", "v1.34.4")
    return World(lambda _: as_kube(kube), access).workloads()


def another_istiod(kube: Pages, of: str, name: str, **labels: str) -> None:
    """One more istiod, as another revision or replica has it."""
    body = copy.deepcopy(kube.get("pods", of, "istio-system"))
    body["metadata"] |= {"name": name, "uid": name}
    body["metadata"]["labels"] = {"app": "istiod", **labels}
    kube.add("pods", body)


def message(kube: Pages) -> str:
    with pytest.raises(ClaimFailed) as caught:
        workloads(kube).expect_in_sync()
    return str(caught.value)


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["proxy"])


def _proxy(pod: Body) -> str:
    return f"{pod['metadata']['name']}.{pod['metadata']['namespace']}"


def _runs(pod: Body) -> bool:
    return pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]


def _has_proxy(pod: Body) -> bool:
    both = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    return any(container["name"] == "istio-proxy" for container in both)


# Every control plane


def test_living_h2_a_second_revision_serves_some_of_the_proxies() -> None:
    kube, istiod, entries = mesh()
    another_istiod(kube, istiod, "istiod-blue-1", **{"istio.io/rev": "blue"})
    kube.lists(istiod, *entries[3:])
    kube.lists("istiod-blue-1", *entries[:3])
    observed = start_observing()
    workloads(kube).expect_in_sync()
    assert observed.inspected == len(entries)


def test_living_h2_a_second_replica_serves_some_of_the_proxies() -> None:
    kube, istiod, entries = mesh()
    labels = kube.get("pods", istiod, "istio-system")["metadata"]["labels"]
    another_istiod(kube, istiod, "istiod-2", **labels)
    kube.lists(istiod, *entries[3:])
    kube.lists("istiod-2", *entries[:3])
    workloads(kube).expect_in_sync()


def test_living_h2_a_proxy_that_no_revision_serves_is_still_noticed() -> None:
    kube, istiod, entries = mesh()
    another_istiod(kube, istiod, "istiod-blue-1", **{"istio.io/rev": "blue"})
    kube.lists(istiod, *entries[3:])
    kube.lists("istiod-blue-1", *entries[:2])
    lost = entries[2]["proxy"].partition(".")[0]
    assert f"not connected to any istiod in bookinfons/{lost}" in message(kube)


def test_living_h9_an_istiod_elsewhere_is_read() -> None:
    kube, istiod, entries = mesh()
    another_istiod(kube, istiod, "istiod-asm-1-28-x", **{"istio.io/rev": "asm-1-28"})
    kube.change("pods", "istiod-asm-1-28-x", _move_to("aks-istio-system"))
    kube.lists(istiod)
    kube.lists("istiod-asm-1-28-x", *entries)
    workloads(kube).expect_in_sync()


def _move_to(namespace: str) -> Any:
    return lambda body: body["metadata"].update(namespace=namespace)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_living_h3_debug_pages_that_are_off_leave_it_not_claimed_at_once(status: int) -> None:
    kube, istiod, _ = mesh()
    kube.pages[istiod] = (status, "404 page not found")
    why = f"{PAGE} of pod istio-system/{istiod} answers {status}: is ENABLE_DEBUG_ON_HTTP"
    with pytest.raises(NotTested, match=why), wait_policy(factor=1):
        workloads(kube).expect_in_sync()
    assert kube.fetched == [istiod], "it waited for what does not come"


def test_living_h3_where_one_of_two_is_off_the_other_still_reports() -> None:
    kube, istiod, entries = mesh()
    another_istiod(kube, istiod, "istiod-blue-1", **{"istio.io/rev": "blue"})
    kube.lists(istiod, *entries[3:])
    kube.pages["istiod-blue-1"] = (404, "")
    with pytest.raises(NotTested, match=rf"{len(entries) - 3} of {len(entries)} proxies are"):
        workloads(kube).expect_in_sync()
    entries[4]["listener_acked"] = entries[4]["resources"] = ""
    kube.lists(istiod, *entries[3:])
    assert f"1 of {len(entries) - 3} pods: expected in sync, got STALE: listeners" in message(kube)


# Every proxy's configuration


def test_living_h14_each_proxy_has_its_own_time_where_something_is_always_on_its_way() -> None:
    kube, istiod, entries = mesh()
    looks = iter(range(1000))

    class Busy(dict[str, tuple[int, str]]):
        def __getitem__(self, name: str) -> tuple[int, str]:
            late = next(looks) // 2 % len(entries)  # a page is read twice: its status, its text
            sent = [{**e, "resources": {}, "route_acked": "0"} for e in entries[late : late + 1]]
            return 200, json.dumps([*entries[:late], *sent, *entries[late + 1 :]])

    kube.pages = Busy({istiod: (200, "")})
    with wait_policy(factor=1):
        workloads(kube).expect_in_sync()
    assert len(kube.fetched) == 2


def test_living_h14_a_proxy_that_ends_meanwhile_is_not_missed() -> None:
    kube, istiod, entries = mesh()
    kube.lists(istiod, *entries[1:])
    found, ended = kube.list, entries[0]["proxy"].partition(".")[0]
    kube.list = lambda *what, fields="", **more: (  # type: ignore[method-assign]  # it ends
        [] if fields == f"metadata.name={ended}" else found(*what, fields=fields, **more)
    )
    observed = start_observing()
    workloads(kube).expect_in_sync()
    assert observed.inspected == len(entries) - 1


def test_living_b5_extension_configuration_that_was_never_taken_is_noticed() -> None:
    kube, istiod, entries = mesh()
    entries[1] |= {"extensionconfig_sent": "2026-11-27/a", "extensionconfig_acked": ""}
    kube.lists(istiod, *entries)
    assert "STALE: extension configuration not acknowledged in " in message(kube)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (WASM, "extension configuration"),
        ("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "secrets"),
        ("type.googleapis.com/istio.networking.nds.v1.NameTable", "DNS names"),
        ("type.googleapis.com/something.of.later.v9.Unheard", "Unheard"),
    ],
)
def test_living_b5_every_type_that_the_page_names_is_compared(url: str, words: str) -> None:
    kube, istiod, entries = mesh()
    entries[1]["resources"][url] = {"sent": "2", "acked": "1"}
    entries[2]["resources"][url] = {}  # never sent: it did not ask for it
    kube.lists(istiod, *entries)
    text = message(kube)
    assert text.startswith(f"1 of {len(entries)} pods: expected in sync, got STALE: {words} not")


def filtered(kube: Pages, namespace: str, given: dict[str, Any]) -> None:
    """A WasmPlugin of a namespace, and what every proxy's admin port shows of it."""
    spec = {"url": "oci://registry.example/filter:1"}
    meta = {"name": "filter", "namespace": namespace}
    kube.add("wasmplugins.extensions.istio.io", {"metadata": meta, "spec": spec})
    name = f"extensions.istio.io/wasmplugin/{namespace}.filter"
    found = {"name": name, "typed_config": given}
    kube.filters = json.dumps({"configs": [{"ecds_filter": found}]})


MODULE = {"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"}


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("wasm-default-allow", "a filter in its place that lets everything pass"),
        ("wasm-default-deny", "a filter in its place that refuses every request"),
    ],
)
@pytest.mark.parametrize("namespace", ["bookinfons", "istio-system"])
def test_living_b5_a_module_that_never_came_is_noticed_although_it_is_acknowledged(
    prefix: str, words: str, namespace: str
) -> None:
    kube, _, _ = mesh()
    filtered(kube, namespace, {"rules_stat_prefix": prefix})
    text = message(kube)
    assert f"WasmPlugin {namespace}/filter in pod " in text
    assert words in text


@pytest.mark.parametrize(("namespace", "for_all"), [("root", True), ("istio-system", False)])
def test_living_b5_the_plugins_for_all_are_those_of_the_root_namespace(
    namespace: str, *, for_all: bool
) -> None:
    kube, _, _ = mesh()
    kube.get("configmaps", "istio", "istio-system")["data"]["mesh"] += "\nrootNamespace: root\n"
    filtered(kube, namespace, {"rules_stat_prefix": "wasm-default-deny"})
    assert f"WasmPlugin {namespace}/filter in pod " in message(kube)
    of_the_sample = {pod["metadata"]["name"] for pod in kube.list("pods", "bookinfons")}
    assert bool(of_the_sample & set(kube.fetched)) == for_all


def test_living_h_a_module_that_came_is_as_it_should_be() -> None:
    kube, _, _ = mesh()
    filtered(kube, "bookinfons", MODULE)
    observed = start_observing()
    workloads(kube).expect_in_sync()
    assert observed.notes == []


def test_living_h_plugins_of_other_namespaces_and_of_the_image_ask_nobody() -> None:
    kube, istiod, _ = mesh()
    filtered(kube, "elsewhere", {"rules_stat_prefix": "wasm-default-allow"})
    kube.add(
        "wasmplugins.extensions.istio.io",
        {"metadata": {"name": "own", "namespace": "bookinfons"}, "spec": {"url": "file:///a"}},
    )
    workloads(kube).expect_in_sync()
    assert set(kube.fetched) == {istiod}


def test_a_proxy_that_does_not_show_its_filters_is_noted() -> None:
    kube, _, _ = mesh()
    filtered(kube, "bookinfons", MODULE)
    kube.filters = ""
    observed = start_observing()
    workloads(kube).expect_in_sync()
    assert "runs its Wasm modules was not seen" in observed.notes[0]


def test_living_b5_rejections_are_reported_beside_it() -> None:
    kube, istiod, entries = mesh()
    kube.metrics = (
        "# TYPE pilot_total_xds_rejects counter\n"
        'pilot_total_xds_rejects{type="type.googleapis.com/envoy.config.listener.v3.Listener"} 3\n'
        'pilot_total_xds_rejects{type="cds"} 0\n'
    )
    kube.lists(istiod, *entries)
    observed = start_observing()
    workloads(kube).expect_in_sync()
    assert observed.notes == ["since their istiod started, proxies rejected Listener 3 times"]


def test_living_b5_ztunnel_is_read_like_any_other_proxy() -> None:
    kube = Pages("ambient/bookinfo", kubernetes="v1.37.2")
    [entry] = BY_HAND["ambient"].json("istio/istiod-syncz.json")
    istiod = kube.list("pods", labels="app=istiod")[0]["metadata"]["name"]
    ambient = World(lambda _: as_kube(kube), access_of("1.31.0", "v1.37.2")).workloads()
    kube.lists(istiod, entry)
    observed = start_observing()
    ambient.expect_in_sync()
    assert observed.values == [Observation("proxies", "ztunnel", "in sync")]
    observed = start_observing()
    entry["resources"][ADDRESS]["acked"] = "an older one"
    kube.lists(istiod, entry)
    with pytest.raises(ClaimFailed, match="STALE: workloads and Services not acknowledged"):
        ambient.expect_in_sync()
    assert observed.values == [Observation("proxies", "ztunnel", "not in sync")]


# The user that istio-init leaves alone


def as_user(user: int, left_alone: str, group: str = "") -> Any:
    """A pod whose proxy runs as one user, and whose istio-init leaves another's traffic alone."""

    def change(body: Body) -> None:
        both = [*body["spec"]["initContainers"], *body["spec"]["containers"]]
        for container in both:
            arguments = container.get("args") or []
            if container["name"] == "istio-proxy":
                container["securityContext"]["runAsUser"] = user
            if container["name"] == INIT:
                arguments[arguments.index(USER) + 1] = left_alone
                arguments += ["-g", group] if group else []

    return change


@pytest.mark.parametrize(
    ("user", "left_alone", "group"),
    [
        (1000660001, "1000660001", "1000660001"),  # OpenShift chooses it for a namespace
        (0, "1337", ""),  # TPROXY
        (0, "1000660001", "1000660001"),
    ],
)
def test_living_h4_the_platform_chooses_the_proxys_user(
    user: int, left_alone: str, group: str
) -> None:
    kube, *_ = mesh()
    kube.change("pods", "ratings-v1", as_user(user, left_alone, group))
    workloads(kube).expect_redirection()


@pytest.mark.parametrize(
    ("user", "left_alone"), [(1000660001, "1337"), (1337, "1000660001"), (0, "0")]
)
def test_living_h4_a_proxy_that_redirects_to_itself_is_still_noticed(
    user: int, left_alone: str
) -> None:
    kube, *_ = mesh()
    kube.change("pods", "ratings-v1", as_user(user, left_alone))
    with pytest.raises(ClaimFailed, match=rf"-u {left_alone} \(its proxy runs as .*ratings-v1"):
        workloads(kube).expect_redirection()


# What is claimed of each control plane


def placed(kube: Pages, rows: Expected) -> ControlPlane:
    return ControlPlane.read(as_kube(kube), rows)


def moved(namespace: str) -> tuple[Pages, Expected]:
    """The demo profile as it is where it was installed into another namespace."""
    kube, *_ = mesh()
    for kind in (DEPLOYMENTS, "services", "pods", "configmaps", SLICES):
        for body in kube.list(kind, "istio-system"):
            body["metadata"]["namespace"] = namespace
            marks = body["metadata"].get("ownerReferences") or ()
            assert all(mark.get("namespace") is None for mark in marks)
    for kind in KINDS.values():
        for body in kube.list(kind):
            name = body["metadata"]["name"]
            suffix = "" if name == "istiod-default-validator" else f"-{namespace}"
            body["metadata"]["name"] = name.removesuffix("-istio-system") + suffix
            for entry in body["webhooks"]:
                entry["clientConfig"]["service"]["namespace"] = namespace
    rows = workloads(kube).expected
    return kube, rows.placed(namespace)


@pytest.mark.parametrize("namespace", ["aks-istio-system", "istio-system"])
def test_living_h9_every_claim_on_istiod_is_requested_where_it_is(namespace: str) -> None:
    kube, rows = moved(namespace) if namespace != "istio-system" else (mesh()[0], None)
    plane = placed(kube, rows or workloads(kube).expected)
    kube.add("namespaces", {"metadata": {"name": namespace}, "status": {"phase": "Active"}})
    plane.expect_readable_configuration()
    plane.expect_active()
    plane.expect_rolled_out("istiod")
    plane.expect_services_of("istiod")
    plane.expect_endpoints()
    plane.expect_images()
    plane.expect_version_labels()
    webhooks = Webhooks(as_kube(kube), plane.expected, "", {"istio-injection": "enabled"})
    for work in KINDS:
        webhooks.expect_configurations(work)
        webhooks.expect_target(work)
        webhooks.expect_endpoints(work)
    webhooks.expect_one_match()


def with_canary(version: str = "1.30.1") -> tuple[Pages, ControlPlane]:
    """A demo profile with a second istiod of a newer release, whole."""
    kube, *_ = mesh()
    for kind in (DEPLOYMENTS, "services", "configmaps", SLICES):
        for body in kube.list(kind, "istio-system"):
            name = body["metadata"]["name"]
            if name in {"istiod", "istio", "istio-sidecar-injector"} or (
                kind == SLICES and name.startswith("istiod-") and "tag" not in name
            ):
                kube.add(kind, _of_the_canary(body, version))
    labels = {"istio.io/rev": "blue"}
    another_istiod(kube, _istiod(kube), "istiod-blue-1", **labels)
    return kube, placed(kube, workloads(kube).expected)


def _istiod(kube: Pages) -> str:
    pods = kube.list("pods", "istio-system", labels="app=istiod")
    return str(next(pod for pod in pods if _runs(pod))["metadata"]["name"])


def _of_the_canary(body: Body, version: str) -> Body:
    made = copy.deepcopy(body)
    labels = {"app": "istiod", "istio.io/rev": "blue"}
    made["metadata"]["name"] = f"{body['metadata']['name']}-blue"
    made["metadata"]["labels"] = dict(labels)
    if "template" in made.get("spec", {}):
        made["spec"]["selector"] = {"matchLabels": labels}
        made["spec"]["template"]["metadata"]["labels"] = dict(labels)
        container = made["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"docker.io/istio/pilot:{version}"
        made["metadata"]["labels"]["operator.istio.io/version"] = version
    elif "endpoints" in made:
        made["metadata"]["labels"] = {"kubernetes.io/service-name": "istiod-blue"}
    return made


def test_living_h2_a_canary_of_another_release_is_held_against_its_own() -> None:
    _, plane = with_canary()
    assert [one.expected.istio for one in plane.planes] == ["1.29.6", "1.30.1"]
    plane.expect_others_rolled_out()
    plane.expect_services_of("istiod")
    plane.expect_endpoints()
    plane.expect_images()
    plane.expect_version_labels()
    plane.expect_budgets()


def test_living_h2_a_canary_that_lost_its_pods_blocks_nothing_and_is_noticed() -> None:
    kube, _ = with_canary()
    kube.change(DEPLOYMENTS, "istiod-blue", lambda body: body["spec"].update(replicas=0))
    plane = placed(kube, workloads(kube).expected)
    plane.expect_rolled_out("istiod")
    with pytest.raises(ClaimFailed, match="Deployment istio-system/istiod-blue"):
        plane.expect_others_rolled_out()


def test_living_h2_a_canary_of_another_image_than_its_label_is_noticed() -> None:
    kube, _ = with_canary()
    kube.change(
        DEPLOYMENTS,
        "istiod-blue",
        lambda body: body["metadata"]["labels"].update({"operator.istio.io/version": "1.28.0"}),
    )
    with pytest.raises(ClaimFailed, match=r"expected 1\.30\.1, got 1\.28\.0"):
        placed(kube, workloads(kube).expected).expect_version_labels()


WHY = "istiod is no part of this cluster: its injector is called at https://istiod.example/inject"


def test_living_h9_of_an_istiod_elsewhere_nothing_is_claimed_and_nothing_fails() -> None:
    kube, *_ = mesh()
    for kind in (DEPLOYMENTS, "services", "pods"):
        kube.remove(kind, "istiod")
    absent = frozenset({"istiod", "istiod-revision-tag-default"})
    rows = workloads(kube).expected.without(absent).placed("istio-system", WHY)
    plane = placed(kube, rows)
    webhooks = Webhooks(as_kube(kube), rows, "", {"istio-injection": "enabled"})
    left: list[Callable[[], object]] = [
        lambda: plane.expect_rolled_out("istiod"),
        lambda: plane.expect_services_of("istiod"),
        plane.expect_own_answer,
        lambda: webhooks.expect_target("mutating"),
        webhooks.expect_trusted,
        webhooks.expect_lasting,
        Workloads(plane).expect_in_sync,
    ]
    for claim in left:
        with pytest.raises(NotTested, match="istiod is no part of this cluster"):
            claim()
    plane.expect_images()  # of the gateways
    Workloads(plane).expect_redirection()


def as_sidecar(version: str, revision: str) -> Any:
    """A pod with the proxy of a release, injected by a revision."""

    def change(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["istio.io/rev"] = revision
        for container in [*body["spec"]["initContainers"], *body["spec"]["containers"]]:
            if container["name"] == "istio-proxy":
                container["image"] = f"docker.io/istio/proxyv2:{version}"

    return change


@pytest.mark.parametrize(
    ("version", "revision", "why"),
    [
        ("1.30.1", "blue", ""),
        ("1.29.6", "blue", ""),
        ("1.28.0", "default", ""),
        ("1.30.1", "default", "sidecar 1.30.1 under istiod 1.29.6"),
        ("1.28.0", "blue", "sidecar 1.28.0 under istiod-blue 1.30.1"),
        ("1.30.1", "of-nobody", "sidecar 1.30.1 under istiod 1.29.6"),
    ],
)
def test_living_h2_a_sidecar_is_held_against_the_istiod_of_its_revision(
    version: str, revision: str, why: str
) -> None:
    kube, plane = with_canary()
    kube.change("pods", "ratings-v1", as_sidecar(version, revision))
    if not why:
        Workloads(plane).expect_versions()
        return
    with pytest.raises(ClaimFailed) as caught:
        Workloads(plane).expect_versions()
    assert str(caught.value.got).startswith(why)


def test_living_h2_sidecars_of_a_patch_with_known_holes_are_reported_of() -> None:
    kube, plane = with_canary("1.30.4")
    kube.change("pods", "ratings-v1", as_sidecar("1.30.3", "blue"))
    observed = start_observing()
    Workloads(plane).expect_versions()
    assert [line for line in observed.notes if "1.30" in line] == [
        "sidecars: Istio 1.30.3 has known holes (ISTIO-SECURITY-2026-006): take 1.30.4 or newer"
    ]


def webhooks_of(plane: ControlPlane) -> Webhooks:
    others = tuple(one.expected for one in plane.others)
    return Webhooks(plane.kube, plane.expected, "", {"istio-injection": "enabled"}, others)


def with_its_webhooks() -> tuple[Pages, Webhooks]:
    """A mesh with a canary whose injector and validator are registered as its charts do it."""
    kube, plane = with_canary()
    for kind, name in (
        (KINDS["mutating"], "istio-revision-tag-default"),
        (KINDS["validating"], "istio-validator-istio-system"),
    ):
        body = copy.deepcopy(kube.get(kind, name))
        body["metadata"]["name"] = f"of-{name}-blue"
        body["metadata"]["labels"]["istio.io/rev"] = "blue"
        for entry in body["webhooks"]:
            entry["clientConfig"]["service"]["name"] = "istiod-blue"
        kube.add(kind, body)
    return kube, webhooks_of(plane)


def test_living_h2_the_webhooks_of_a_canary_are_held_against_its_own_istiod() -> None:
    _, webhooks = with_its_webhooks()
    for work in KINDS:
        webhooks.expect_target(work)
        webhooks.expect_bundle(work)
        webhooks.expect_failure_policy(work)
        webhooks.expect_side_effects(work)
        webhooks.expect_endpoints(work)


def test_living_h2_a_canary_without_webhooks_has_none_to_hold() -> None:
    webhooks_of(with_canary()[1]).expect_target("mutating")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e.update(failurePolicy="Ignore"), "failurePolicy of .*blue: expected Fail"),
        (
            lambda e: e["clientConfig"].pop("caBundle"),
            "caBundle of .*blue: expected a certificate",
        ),
        (lambda e: e["clientConfig"]["service"].update(name="istiod"), "target of .*istiod-blue:"),
    ],
    ids=["policy", "bundle", "target"],
)
def test_living_h2_a_canary_whose_webhooks_are_wrong_is_noticed(change: Any, words: str) -> None:
    kube, webhooks = with_its_webhooks()
    kube.change(
        KINDS["mutating"], "of-", lambda body: [change(entry) for entry in body["webhooks"]]
    )

    def ask() -> None:
        webhooks.expect_failure_policy("mutating")
        webhooks.expect_bundle("mutating")
        webhooks.expect_target("mutating")

    with pytest.raises(ClaimFailed, match=words):
        ask()


@pytest.mark.parametrize(
    ("before", "now", "is_stable"),
    [
        ({"a-1-x": 0}, {"a-1-x": 0}, True),
        ({"a-1-x": 0}, {"a-2-y": 0}, True),  # rolled out
        ({"a-1-x": 0}, {"a-1-x": 0, "a-2-y": 0}, True),  # being rolled out
        ({"a-1-x": 0}, {"a-1-x": 0, "a-1-y": 0}, True),  # scaled up
        ({"a-1-x": 0, "a-1-y": 0}, {"a-1-x": 0}, True),  # scaled down
        ({"a-1-x": 0}, {"a-1-y": 0}, False),  # replaced
        ({"a-1-x": 0}, {"a-1-x": 1}, False),  # restarted
        ({"a-1-x": 0, "b-1-x": 0}, {"b-1-x": 0}, False),  # gone
        ({"a-1-x": 0, "a-1-z": 0}, {"a-1-z": 0, "a-1-y": 0}, False),  # one of two replaced
    ],
    ids=str,
)
def test_living_h14_a_rollout_is_no_instability(
    monkeypatch: pytest.MonkeyPatch, before: Any, now: Any, *, is_stable: bool
) -> None:
    plane = replace(workloads(mesh()[0]).mesh, began=before)
    monkeypatch.setattr(ControlPlane, "restarts", lambda _: now)
    if is_stable:
        plane.expect_stable(STEADY)
        return
    with pytest.raises(ClaimFailed, match="restarts of the control plane's containers"):
        plane.expect_stable(STEADY)


# What was right already, and stays so (H7 is tests.unit.test_access_log, H8 test_root_certificate)


@pytest.mark.parametrize("lacks", [False, True])
def test_living_h5_a_namespace_outside_the_discovery_selectors_needs_no_root(
    monkeypatch: pytest.MonkeyPatch, *, lacks: bool
) -> None:
    kube, *_ = mesh()
    labels = {} if not lacks else {"mesh": "yes"}
    outside = {"metadata": {"name": "outside", "labels": labels}, "status": {"phase": "Active"}}
    kube.add("namespaces", outside)
    kube.change("namespaces", "istio-system", lambda b: b["metadata"]["labels"].update(mesh="yes"))
    plane = workloads(kube).mesh
    chosen = replace(
        plane.expected.options, discovery_selectors=({"matchLabels": {"mesh": "yes"}},)
    )
    plane = replace(plane, expected=plane.expected.set_to(chosen))
    if not lacks:
        plane.expect_root_certificates()
        return
    limit = documented_limit("it is distributed", 0.1, source="a test")
    monkeypatch.setattr("fixtures.istio.control_plane.ROOT_DISTRIBUTED", limit)
    with pytest.raises(ClaimFailed, match="outside/istio"):
        plane.expect_root_certificates()


@pytest.mark.parametrize("ending", ["@sha256:" + "a" * 64, ""])
def test_living_h6_images_may_be_pinned_by_digest(ending: str) -> None:
    kube, *_ = mesh()

    def pin(body: Body) -> None:
        for container in body["spec"]["template"]["spec"]["containers"]:
            container["image"] += ending

    for name in ("istiod", "istio-ingressgateway", "istio-egressgateway"):
        kube.change(DEPLOYMENTS, name, pin)
    placed(kube, workloads(kube).expected).expect_images()
