"""Bookinfo over real sockets: what its services answer, and say of each other's absence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.embedded.small import IMAGE, NAMESPACE, Body, Small, in_a_loop, nameless, pod, small

ALL = ("details-v1", "ratings-v1", "reviews-v3", "productpage-v1")


@dataclass(frozen=True)
class Answer:
    """What was answered."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Shop:
    """The sample without Services: names lead straight to the pods."""

    def __init__(self, home: Small, table: dict[str, str], session: aiohttp.ClientSession) -> None:
        self.home, self.table, self._session = home, table, session

    async def request(
        self, path: str, *, of: str = "productpage", method: str = "GET", **how: Any
    ) -> Answer:
        url = f"http://{self.table[of]}:9080{path}"
        async with self._session.request(method, url, allow_redirects=False, **how) as answer:
            return Answer(answer.status, await answer.text(), dict(answer.headers))

    def log(self, of: str) -> list[str]:
        (body,) = self.home.pods(f"app={of}")
        log = self.home.kubelet.log(body, of)
        assert log
        return [line.text for line in log.lines()]


@asynccontextmanager
async def shop(folder: Path, *images: str, tag: str = "1.20.3") -> AsyncIterator[Shop]:
    async with small(folder) as home, aiohttp.ClientSession() as session:
        table: dict[str, str] = {}
        home.kubelet._cluster = nameless(home.cluster, table)
        for image in images:
            name = image.partition("-")[0]
            container: Body = {"name": name, "image": IMAGE.format(image).replace("1.20.3", tag)}
            await home.apply(pod(name, container))
        for body in await home.until(
            lambda: len(home.ready_pods()) == len(images) and home.pods()
        ):
            table[body["metadata"]["name"]] = body["status"]["podIP"]
        yield Shop(home, table, session)


@in_a_loop
async def test_the_page_shows_details_and_reviews(tmp_path: Path) -> None:
    async with shop(tmp_path, *ALL) as sample:
        page = await sample.request("/productpage")
    assert page.status == 200
    assert "<title>Simple Bookstore App</title>" in page.text
    for words in ("Book Details", "Book Reviews", "The Comedy of Errors", "BookInfo Sample"):
        assert words in page.text
    assert "Reviews served by: reviews" in page.text
    assert page.text.count('id="glyphicon glyphicon-star"') == 9
    assert "Error fetching" not in page.text


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("details", "Error fetching product details"),
        ("reviews", "Error fetching product reviews"),
        ("ratings", "Ratings service is currently unavailable"),
    ],
)
@in_a_loop
async def test_a_page_without_one_service_is_200_and_says_so(
    tmp_path: Path, gone: str, words: str
) -> None:
    async with shop(tmp_path, *ALL) as sample:
        del sample.table[gone]
        page = await sample.request("/productpage")
        assert page.status == 200
        assert words in page.text


@pytest.mark.parametrize(
    ("version", "rating"),
    [("v1", None), ("v2", {"stars": 5, "color": "black"}), ("v3", {"stars": 5, "color": "red"})],
)
@in_a_loop
async def test_versions_of_reviews_differ_in_their_ratings(
    tmp_path: Path, version: str, rating: Body | None
) -> None:
    async with shop(tmp_path, "ratings-v1", f"reviews-{version}", "productpage-v1") as sample:
        answer = (await sample.request("/reviews/0", of="reviews")).json
    assert answer["id"] == "0"
    assert (answer["podname"], answer["clustername"]) == ("reviews", "null")
    first, second = answer["reviews"]
    assert first["reviewer"] == "Reviewer1"
    assert first.get("rating") == rating
    assert "rating" not in second or second["rating"]["stars"] == 4


@in_a_loop
async def test_the_api_answers_json(tmp_path: Path) -> None:
    async with shop(tmp_path, *ALL) as sample:
        (product,) = (await sample.request("/api/v1/products")).json
        assert (product["id"], product["title"]) == (0, "The Comedy of Errors")
        details = (await sample.request("/details/0", of="details")).json
        assert details["ISBN-10"] == "1234567890"
        ratings = (await sample.request("/ratings/0", of="ratings")).json
        assert ratings == {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}


@pytest.mark.parametrize(
    ("path", "status", "header"),
    [
        ("/login", 405, ("Allow", "POST")),
        ("/logout", 302, ("Location", "None")),
        ("/health", 200, None),
        ("/static/tailwind/tailwind.css", 200, None),
        ("/static/jquery.min.js", 404, None),
        ("/productpage/", 404, None),
        ("/nowhere", 404, None),
    ],
)
@in_a_loop
async def test_a_path_of_the_page_answers(
    tmp_path: Path, path: str, status: int, header: tuple[str, str] | None
) -> None:
    async with shop(tmp_path, "productpage-v1") as sample:
        answer = await sample.request(path)
    assert answer.status == status
    if header:
        assert answer.headers[header[0]] == header[1]


@in_a_loop
async def test_the_callers_headers_travel_to_the_last_service(tmp_path: Path) -> None:
    async with shop(tmp_path, *ALL) as sample:
        await sample.request(
            "/productpage", headers={"User-Agent": "a-traveller", "X-Private": "no"}
        )
        assert any("a-traveller" in line for line in sample.log("ratings"))


@in_a_loop
async def test_reviews_are_requested_twice_before_the_page_gives_up(tmp_path: Path) -> None:
    async with shop(tmp_path, "details-v1", "productpage-v1") as sample:
        # Something listens there that knows no reviews.
        sample.table["reviews"] = sample.table["details"]
        await sample.request("/productpage")
        entries = [line for line in sample.log("details") if "/reviews/0" in line]
    assert len(entries) == 2


@in_a_loop
async def test_older_images_have_older_marks(tmp_path: Path) -> None:
    async with shop(tmp_path, *ALL, tag="1.16.2") as sample:
        page = await sample.request("/productpage")
        assert page.text.count("glyphicon-star-empty") == 1
        assert '<font color="red">' in page.text
        assert "podname" not in (await sample.request("/reviews/0", of="reviews")).json


@pytest.mark.parametrize(
    ("image", "port", "path"),
    [
        ("quay.io/kiali/kiali:v2.21", 20001, "/kiali/healthz"),
        ("prom/prometheus:v3.8.1", 9090, "/-/ready"),
        ("docker.io/grafana/grafana:12.0.1", 3000, "/api/health"),
        ("docker.io/jaegertracing/jaeger:2.14.0", 13133, "/status"),
        ("docker.io/jaegertracing/all-in-one:1.58", 14269, "/"),
        ("docker.io/grafana/loki:3.6.3", 3100, "/ready"),
    ],
)
@in_a_loop
async def test_an_add_on_says_it_is_well_and_what_it_does_not_do(
    tmp_path: Path, image: str, port: int, path: str
) -> None:
    async with small(tmp_path) as home, aiohttp.ClientSession() as session:
        await home.apply(pod("addon", {"name": "addon", "image": image}))
        (body,) = await home.until(home.ready_pods)
        url = f"http://{body['status']['podIP']}:{port}"
        async with session.get(url + path) as answer:
            assert answer.status == 200
        async with session.get(f"{url}/no/such/thing") as answer:
            assert answer.status in {404, 501}


@in_a_loop
async def test_names_are_known_while_dns_has_a_ready_endpoint(tmp_path: Path) -> None:
    async with small(tmp_path) as home:
        dns = "endpointslices.discovery.k8s.io"
        ready = "kubernetes.io/service-name=kube-dns"
        await home.until(
            lambda: any(
                one["conditions"]["ready"]
                for body in home.api.list(dns, "kube-system", labels=ready)
                for one in body["endpoints"] or ()
            )
        )
        service: Body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "details"},
            "spec": {"selector": {"app": "details"}, "ports": [{"port": 9080}]},
        }
        await home.apply(service)
        address = home.api.get("services", "details", NAMESPACE)["spec"]["clusterIP"]
        for name in ("details", f"details.{NAMESPACE}", f"details.{NAMESPACE}.svc.cluster.local"):
            assert home.cluster.resolve(name, NAMESPACE) == address
        with pytest.raises(OSError, match="not known"):
            home.cluster.resolve("details", "default")
        await home.api.patch(
            "deployments.apps", "coredns", "kube-system", {"spec": {"replicas": 0}}
        )
        await home.until(
            lambda: not home.api.list("pods", "kube-system", labels="k8s-app=kube-dns")
        )
        await home.until(
            lambda: (
                not any(
                    body["endpoints"] for body in home.api.list(dns, "kube-system", labels=ready)
                )
            )
        )
        with pytest.raises(OSError, match="Temporary failure"):
            home.cluster.resolve("details", NAMESPACE)
