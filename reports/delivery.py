"""Sends what a run found elsewhere: metrics to a Pushgateway and by OTLP, a change to a webhook.

It never changes a verdict. All is sent side by side within one deadline, and what could not be
sent is one line. No address is shown but its host: whoever knows the rest may write there.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fixtures.run.settings import NightlySettings
from reports import metrics, notify, otlp
from reports.model import Run

# For everything together; a run that is ended has no more time than that.
SECONDS = 10.0
JOB = "seatrial"


@dataclass(frozen=True)
class Message:
    """One thing to send.

    Attributes:
        option: by which the user asked for it.
        url: where it goes.
        arrived: called if it was taken.
    """

    option: str
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    method: str = "POST"
    verify: str | bool = True
    arrived: Callable[[], object] = field(default=lambda: None)

    def send(self, deadline: float) -> str:
        """Send it; returns what went wrong, in a few words."""
        import requests  # noqa: PLC0415  # it takes a while, and most runs send nothing

        try:
            with requests.request(
                self.method,
                self.url,
                data=self.body,
                headers={**self.headers},
                timeout=max(deadline - time.monotonic(), 0.1),
                allow_redirects=False,  # what is secret goes to nobody else
                stream=True,  # of what is answered only the status counts
                verify=self.verify,
            ) as answer:
                if answer.ok and not answer.is_redirect:
                    self.arrived()
                    return ""
                return f"it answered {answer.status_code}"
        except requests.exceptions.SSLError:
            return "its certificate is not trusted"
        except requests.exceptions.Timeout:
            return _late()
        except requests.exceptions.ConnectionError:
            return "there is no connection to it"
        except Exception as e:  # noqa: BLE001  # no trace of it is shown: the address stands in it
            return f"it could not be sent ({type(e).__name__})"


def deliver(messages: Iterable[Message], seconds: float = SECONDS) -> list[str]:
    """Send them all; returns a line for each that did not arrive in time."""
    deadline = time.monotonic() + seconds
    began = [_Delivery(message, deadline) for message in messages]
    for one in began:
        one.join(max(deadline - time.monotonic(), 0))
    return [
        f"{one.message.option}: not sent to {urlsplit(one.message.url).hostname}: {one.wrong}"
        for one in began
        if one.wrong
    ]


def tell(
    run: Run, wanted: NightlySettings, folder: Path, environment: Mapping[str, str]
) -> list[str]:
    """Send what a run has to say to whoever wants it; returns a line for each that was not sent.

    Args:
        run: what is told; without secrets.
        wanted: who wants it.
        folder: where is kept what was told.
        environment: says who else wants it.
    """
    wants: dict[str, Callable[[], Message | None]] = {
        "--push-gateway": lambda: pushed(run, wanted),
        otlp.ENDPOINT: lambda: exported(run, environment),
        "--notify": lambda: notified(run, wanted, folder),
    }
    messages, lines = [], []
    for option, made in wants.items():
        try:
            messages += [message] if (message := made()) else []
        except otlp.Refused as e:
            lines.append(str(e))
        except Exception as e:  # noqa: BLE001  # whatever it is, it changes no verdict
            lines.append(f"{option}: not sent: {type(e).__name__}")
    return lines + deliver(messages)


def notified(run: Run, wanted: NightlySettings, folder: Path) -> Message | None:
    """What changed, for the webhook; None where that is nothing."""
    if not wanted.notify:
        return None
    found, file = notify.change(run, folder), notify.file_of(run, folder)
    if not found.worth_telling:
        if found.counts:
            found.now.write(file)
        return None
    found.before.write(file)  # it stays so if this does not arrive
    body = found.as_slack() if wanted.notify_as == "slack" else found.as_json()
    text = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    headers = {"Content-Type": "application/json"}
    return Message("--notify", wanted.notify, text, headers, arrived=lambda: found.now.write(file))


class _Delivery(threading.Thread):
    """One message on its way; no run waits for it longer than it may take."""

    def __init__(self, message: Message, deadline: float) -> None:
        super().__init__(daemon=True)
        self.message = message
        self.wrong = _late()
        self._deadline = deadline
        self.start()

    def run(self) -> None:
        self.wrong = self.message.send(self._deadline)


def _late() -> str:
    return f"it did not answer within {SECONDS:g} s"


def pushed(run: Run, wanted: NightlySettings) -> Message | None:
    """The metrics for a Pushgateway, in place of those of the last run of this subject."""
    if not wanted.push_gateway:
        return None
    from prometheus_client.exposition import push_to_gateway  # noqa: PLC0415  # see `metrics`

    made: dict[str, Any] = {}

    def keep(**request: Any) -> Callable[[], None]:
        made.update(request)
        return lambda: None

    group = {name: metrics.common(run)[name] for name in ("cluster", "profile")}
    gateway = wanted.push_gateway
    push_to_gateway(gateway, JOB, metrics.registry(run), group, handler=keep)
    headers = dict(made["headers"])
    return Message("--push-gateway", made["url"], made["data"], headers, method=made["method"])


def exported(run: Run, environment: Mapping[str, str]) -> Message | None:
    """The metrics for an OpenTelemetry collector, as OTLP over HTTP in JSON.

    Raises:
        Refused: the environment wants what cannot be.
    """
    endpoint = otlp.endpoint_of(environment)
    if endpoint is None:
        return None
    headers = {"Content-Type": "application/json", **endpoint.headers}
    body = otlp.request(run, endpoint)
    verify = endpoint.certificate or True
    return Message(endpoint.option, endpoint.url, body, headers, verify=verify)
