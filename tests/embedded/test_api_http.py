"""The API over HTTPS, asked with a plain client: credentials, pages, watches, forms, discovery."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import trustme

from fixtures.providers.embedded.apiserver.api import Api
from fixtures.providers.embedded.apiserver.authorization import Access
from fixtures.providers.embedded.apiserver.node import ContainerLog
from fixtures.providers.embedded.apiserver.server import HOOKS, Server
from fixtures.providers.embedded.apiserver.store import Store
from fixtures.providers.embedded.hooks import Hooks
from tests.embedded.small import Body, in_a_loop
from tests.embedded.test_api_objects import a_deployment, a_map, an_api
from tests.golden import Golden

HERE = "/api/v1/namespaces/here"
MAPS = f"{HERE}/configmaps"


def compact(store: Store) -> None:
    """Forget the window, as etcd's compaction does: older versions are answered with 410."""
    store._history.clear()
    store.oldest = store.version


Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NoDoor:
    """Nobody lives in these pods."""

    def log(self, pod: Body, container: str, *, previous: bool = False) -> ContainerLog | None:
        return None

    async def dial(
        self, pod: Body, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise ConnectionRefusedError


@dataclass
class Answer:
    """What came back."""

    code: int
    body: Any
    headers: Any


class Client:
    """Sends the admin's token, unless another one is given."""

    def __init__(self, api: Api, session: aiohttp.ClientSession, url: str) -> None:
        self.api = api
        self._session = session
        self._url = url

    async def request(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items() if value}
        if "Authorization" not in headers:
            given["Authorization"] = "Bearer secret"
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        given.setdefault("Content-Type", "application/json")
        async with self._session.request(
            method, self._url + path, data=data, headers=given
        ) as response:
            text = await response.text()
            is_json = text and response.content_type == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text, response.headers)

    async def watch(self, query: str, count: int, path: str = MAPS) -> list[Body]:
        """The first lines of a watch."""
        headers = {"Authorization": "Bearer secret"}
        url = f"{self._url}{path}?watch=1&{query}"
        async with self._session.get(url, headers=headers) as response:
            return [json.loads(await response.content.readline()) for _ in range(count)]


@asynccontextmanager
async def a_server() -> AsyncIterator[Client]:
    api = await an_api()
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    server = Server(
        api,
        access=Access(api, "secret"),
        door=NoDoor(),
        hooks=Hooks({"sulk": "answers nothing", **HOOKS}),
        kube_version="1.35.0",
    )
    url = await server.start("127.0.0.1", 0, tls)
    connector = aiohttp.TCPConnector(ssl=trusting)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Client(api, session, url)
    finally:
        await server.stop()


@in_a_loop
async def test_credentials(golden: Golden) -> None:
    async with a_server() as client:
        assert (await client.request(MAPS)).code == 200
        unknown = await client.request(MAPS, Authorization="Bearer other")
        assert (unknown.code, unknown.body["message"]) == (401, "Unauthorized")
        nobody = await client.request(MAPS, Authorization="")
        assert nobody.code == 403
        golden(nobody.body["message"])
        assert (await client.request("/version")).body["gitVersion"] == "v1.35.0"
        account = f"{HERE}/serviceaccounts/default/token"
        token = (await client.request(account, "POST", {})).body["status"]["token"]
        weak = await client.request(f"{MAPS}/m", "DELETE", Authorization=f"Bearer {token}")
        assert weak.code == 403
        assert 'User "system:serviceaccount:here:default" cannot delete' in weak.body["message"]


@in_a_loop
async def test_a_page_begins_where_the_one_before_ended() -> None:
    async with a_server() as client:
        for name in "abcde":
            await client.api.create("configmaps", {"metadata": {"name": name}}, "here")
        first = (await client.request(f"{MAPS}?limit=2")).body
        assert first["metadata"]["remainingItemCount"] == 3
        token = first["metadata"]["continue"]
        rest = (await client.request(f"{MAPS}?limit=9&continue={token}")).body
        names = [one["metadata"]["name"] for one in first["items"] + rest["items"]]
        assert names == list("abcde")
        assert rest["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}
        selected = (await client.request(f"{MAPS}?limit=1&fieldSelector=metadata.name!=a")).body
        assert "remainingItemCount" not in selected["metadata"]
        await client.api.delete("configmaps", "d", "here")
        compact(client.api.store)
        late = await client.request(f"{MAPS}?continue={token}")
        assert (late.code, late.body["reason"]) == (410, "Expired")


@in_a_loop
async def test_items_of_a_list_do_not_say_their_type() -> None:
    async with a_server() as client:
        await client.api.create("configmaps", a_map(k="v"), "here")
        listed = (await client.request(MAPS)).body
        assert listed["kind"] == "ConfigMapList"
        assert "kind" not in listed["items"][0]
        assert (await client.request(f"{MAPS}/m")).body["kind"] == "ConfigMap"


@in_a_loop
async def test_a_watch_reports_what_enters_and_leaves_a_selection() -> None:
    async with a_server() as client:
        made = await client.api.create("configmaps", a_map(), "here")
        version = made["metadata"]["resourceVersion"]
        for value in ("on", "more", None):
            labels = {"a": value, "b": str(value)}
            await client.api.patch("configmaps", "m", "here", {"metadata": {"labels": labels}})
        reported = await client.watch(f"labelSelector=a&resourceVersion={version}", 3)
        assert [one["type"] for one in reported] == ["ADDED", "MODIFIED", "DELETED"]


@in_a_loop
async def test_a_watch_can_begin_with_all_there_is_and_say_when_it_was_all() -> None:
    async with a_server() as client:
        await client.api.create("configmaps", a_map(), "here")
        query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        added, mark = await client.watch(query, 2)
        assert added["object"]["metadata"]["name"] == "m"
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


@in_a_loop
async def test_a_watch_from_a_forgotten_version_ends_with_410() -> None:
    async with a_server() as client:
        made = await client.api.create("configmaps", a_map(), "here")
        await client.api.create("configmaps", {"metadata": {"name": "n"}}, "here")
        compact(client.api.store)
        (reported,) = await client.watch(
            f"resourceVersion={made['metadata']['resourceVersion']}", 1
        )
        assert (reported["type"], reported["object"]["code"]) == ("ERROR", 410)
        wrong = await client.request(f"{MAPS}?watch=1&resourceVersion=x")
        assert wrong.code == 500


@in_a_loop
async def test_a_watch_ends_when_its_time_is_over() -> None:
    async with a_server() as client:
        assert (await client.request(f"{MAPS}?watch=1&timeoutSeconds=1")).body == ""


@in_a_loop
async def test_forms_of_an_answer() -> None:
    async with a_server() as client:
        await client.api.create("configmaps", a_map(k="v"), "here")
        table = await client.request(MAPS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        assert table.body["kind"] == "Table"
        assert table.body["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        for other in ("text/html", "application/yaml"):
            assert (await client.request(MAPS, Accept=other)).code == 406


@in_a_loop
async def test_requests_that_make_no_sense() -> None:
    async with a_server() as client:
        pods = f"{HERE}/pods"
        broken = await client.request(pods, "POST", "{not json")
        assert broken.body["message"].startswith(
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind"
        )
        other = await client.request(pods, "POST", {"apiVersion": "v1", "kind": "Service"})
        assert "cannot be handled as a Pod" in other.body["message"]
        assert (await client.request(f"{pods}/p", "POST", {})).code == 405
        assert (await client.request(pods, "POST", "hello", Content_Type="text/plain")).code == 415
        assert (await client.request(f"{HERE}/nonsense")).code == 404
        nowhere = await client.request("/apis/nonsense.io/v1")
        assert (nowhere.code, nowhere.body) == (404, "404 page not found\n")
        renamed = await client.request(f"{MAPS}/m", "PUT", {"metadata": {"name": "n"}})
        assert "does not match the name on the URL (m)" in renamed.body["message"]


@in_a_loop
async def test_what_is_written_over_http() -> None:
    async with a_server() as client:
        path = "/apis/apps/v1/namespaces/here/deployments"
        made = await client.request(f"{path}?fieldManager=me", "POST", a_deployment())
        assert made.code == 201
        scale = (await client.request(f"{path}/web/scale")).body
        assert scale["spec"] == {"replicas": 1}
        assert scale["status"]["selector"] == "app=web"
        merge = "application/merge-patch+json"
        wanted = {"spec": {"replicas": 3}}
        done = await client.request(f"{path}/web/scale", "PATCH", wanted, Content_Type=merge)
        assert done.body["spec"] == {"replicas": 3}
        dry = await client.request(f"{path}/web?dryRun=All", "DELETE")
        assert dry.body["status"] == "Success"
        assert client.api.get("deployments.apps", "web", "here")["spec"]["replicas"] == 3
        assert (await client.request(path, "DELETE")).code == 405
        await client.request(f"{path}/web", "DELETE")
        assert client.api.find("deployments.apps", "web", "here") is None


@in_a_loop
async def test_an_apply_over_http_makes_and_then_changes() -> None:
    async with a_server() as client:
        body = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: "1"}'
        content = "application/apply-patch+yaml"
        first = await client.request(
            f"{MAPS}/m?fieldManager=me", "PATCH", body, Content_Type=content
        )
        again = await client.request(
            f"{MAPS}/m?fieldManager=me", "PATCH", body, Content_Type=content
        )
        assert (first.code, again.code) == (201, 200)
        nobody = await client.request(f"{MAPS}/m", "PATCH", body, Content_Type=content)
        assert nobody.body["details"]["kind"] == "PatchOptions"


@in_a_loop
async def test_unknown_fields_come_back_as_warnings() -> None:
    async with a_server() as client:
        made = await client.request(MAPS, "POST", a_map() | {"dta": {}})
        assert made.headers["Warning"] == r'299 - "unknown field \"dta\""'
        listed = await client.request(f"{HERE}/endpoints")
        assert "v1 Endpoints is deprecated in v1.33+" in listed.headers["Warning"]


@in_a_loop
async def test_hooks_are_set_listed_and_cleared() -> None:
    async with a_server() as client:
        await client.request("/embedded/hooks/sulk", "PUT")
        hook, *_ = (await client.request("/embedded/hooks")).body["items"]
        assert hook == {"name": "sulk", "description": "answers nothing", "on": True}
        await client.request("/embedded/hooks/sulk", "DELETE")
        assert (await client.request("/embedded/hooks")).body["items"][0]["on"] is False
        unknown = await client.request("/embedded/hooks/smile", "PUT")
        assert (unknown.code, unknown.body["reason"]) == (404, "NotFound")
