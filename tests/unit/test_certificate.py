"""A served certificate is held against a bundle as the API server would hold it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from fixtures.traffic.certificate import Certificate, NotTrusted, served_chain

NAME = "istiod.istio-system.svc"


@contextmanager
def serving(certificate: trustme.LeafCert) -> Iterator[socket.socket]:
    """One end of a connection whose other end shakes hands with this certificate."""
    near, far = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def shake() -> None:
        try:
            with context.wrap_socket(far, server_side=True) as tls:
                tls.recv(1)
        except OSError:
            far.close()  # the other end did not trust it

    server = threading.Thread(target=shake)
    server.start()
    try:
        yield near
    finally:
        near.close()
        server.join()


def the_bundle(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def test_a_certificate_that_the_bundle_validates_is_read() -> None:
    authority = trustme.CA()
    with serving(authority.issue_cert(NAME, "istiod")) as door:
        read = Certificate.served(door, name=NAME, authorities=the_bundle(authority))
    assert set(read.names) == {NAME, "istiod"}
    assert read.begins < datetime.now(UTC) < read.ends
    assert read.left() > timedelta(days=1)


def test_another_authority_is_not_trusted() -> None:
    with (
        serving(trustme.CA().issue_cert(NAME)) as door,
        pytest.raises(NotTrusted, match="unable to get local issuer"),
    ):
        Certificate.served(door, name=NAME, authorities=the_bundle(trustme.CA()))


def test_another_name_is_not_trusted() -> None:
    authority = trustme.CA()
    with (
        serving(authority.issue_cert("somebody.else")) as door,
        pytest.raises(NotTrusted, match="not valid for"),
    ):
        Certificate.served(door, name=NAME, authorities=the_bundle(authority))


@pytest.mark.parametrize("bundle", ["", "no certificate"])
def test_a_bundle_without_certificate_is_reported_to_be_none(bundle: str) -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(NotTrusted, match="holds no certificate"):
        Certificate.served(near, name=NAME, authorities=bundle)


def test_an_expired_certificate_is_not_trusted_but_its_end_can_be_read() -> None:
    authority = trustme.CA()
    past = datetime.now(UTC) - timedelta(days=3)
    expired = authority.issue_cert(NAME, not_before=past - timedelta(days=1), not_after=past)
    with serving(expired) as door, pytest.raises(NotTrusted, match="expired"):
        Certificate.served(door, name=NAME, authorities=the_bundle(authority))
    with serving(expired) as door:
        read = Certificate.served(door, name=NAME, authorities=the_bundle(authority), timely=False)
    assert -timedelta(days=4) < read.left() < -timedelta(days=2)


def test_a_whole_chain_is_read_and_not_judged() -> None:
    issuer = trustme.CA().create_child_ca()
    ended = datetime.now(UTC) - timedelta(days=1)
    leaf = issuer.issue_cert(NAME, not_before=ended - timedelta(days=9), not_after=ended)
    with serving(leaf) as door:
        own, *issuers = served_chain(door, name="another.name")
    assert own.not_valid_after_utc < datetime.now(UTC)
    assert [one.subject for one in issuers] == [own.issuer]


def test_a_port_that_serves_no_certificate_says_so() -> None:
    near, far = socket.socketpair()
    far.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with near, far, pytest.raises(NotTrusted):
        served_chain(near, name=NAME)
