"""What was answered once, kept under the question: to be written down, and to be given again.

Objects are kept as states; here is what is no object: debug pages, health, HTTP through a gateway,
logs, dry runs, TLS handshakes and discovery. Which cluster is asked is the caller's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from fixtures.k8s import Body, Refused, Reply, Unreachable
from fixtures.traffic.certificate import Certificate, NotTrusted

Answer = dict[str, Any]


def pod_port(pod: str, namespace: str, port: int, path: str) -> str:
    """A path at a port of a pod."""
    return f"GET pod {namespace}/{pod}:{port}{path}"


def from_outside(path: str) -> str:
    """A path at a gateway's address."""
    return f"GET gateway {path}"


def log(pod: str, namespace: str, container: str) -> str:
    """What a container wrote."""
    return f"logs {namespace}/{pod} {container}"


def dry_run(kind: str, body: Body) -> str:
    """What would become of an object."""
    return f"dry run {kind} {json.dumps(body, sort_keys=True)}"


def handshake(name: str, authorities: str, *, timely: bool) -> str:
    """A TLS handshake, by the name that is asked for and the authorities that are trusted."""
    trusted = hashlib.sha256(authorities.encode()).hexdigest()[:12]
    return f"TLS {name} {trusted} {'today' if timely else 'at any time'}"


def raw(path: str) -> str:
    """Any path of the API server that holds no objects."""
    return f"raw {path}"


def mark(claim: str, number: int) -> str:
    """The mark of a claim's request, the same whenever it is asked."""
    return f"seatrial={hashlib.sha256(f'{claim} {number}'.encode()).hexdigest()[:12]}"


def requested(request: Callable[[], Any], keep: Callable[[Answer], None]) -> Any:
    """Ask, and keep what was answered, refusals too."""
    try:
        answer = request()
    except Refused as e:
        parts = {"reason": e.reason, "message": e.message, "causes": list(e.causes)}
        keep({"refused": {"code": e.code, **parts}})
        raise
    except Unreachable as e:
        keep({"unreachable": str(e)})
        raise
    except NotTrusted as e:
        keep({"not trusted": str(e)})
        raise
    keep(_written(answer))
    return answer


def _written(answer: Any) -> Answer:
    if isinstance(answer, Reply):
        return {"reply": [answer.status, dict(answer.headers), answer.body]}
    if isinstance(answer, Certificate):
        until = [answer.begins.isoformat(), answer.ends.isoformat()]
        return {"certificate": [list(answer.names), *until]}
    return {"body": answer}


def given(answer: Mapping[str, Any]) -> Any:
    """Give a kept answer again.

    Raises:
        Refused: it was one.
        Unreachable: there was none.
        NotTrusted: it was not believed.
    """
    if refused := answer.get("refused"):
        causes = tuple(refused["causes"])
        words = {"reason": refused["reason"], "message": refused["message"]}
        raise Refused(refused["code"], causes=causes, **words)
    if "unreachable" in answer:
        raise Unreachable(answer["unreachable"])
    if "not trusted" in answer:
        raise NotTrusted(answer["not trusted"])
    if reply := answer.get("reply"):
        return Reply(*reply)
    if certificate := answer.get("certificate"):
        names, *until = certificate
        return Certificate(tuple(names), *map(datetime.fromisoformat, until))
    return answer["body"]
