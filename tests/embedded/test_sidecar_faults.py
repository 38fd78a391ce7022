"""Faults of one sidecar: whom they hit, and that whoever depends on them looks again."""

from __future__ import annotations

import asyncio

import pytest
from cryptography import x509

from fixtures.providers.embedded.dataplane import faults
from fixtures.providers.embedded.dataplane.certificates import issue
from fixtures.providers.embedded.hooks import Hooks
from tests.embedded.small import in_a_loop

SERVER, OTHERS = {"app": "seatrial-server"}, {"app": "reviews"}


def test_a_fault_hits_one_pod_alone() -> None:
    hooks = Hooks(faults.HOOKS)
    assert not faults.on(hooks, SERVER)
    hooks.set(faults.WRONG_CA)
    assert faults.on(hooks, SERVER) == {faults.WRONG_CA}
    assert not faults.on(hooks, OTHERS)
    assert not faults.on(Hooks({}), SERVER), "a cluster without these hooks has none of them"


@in_a_loop
async def test_a_change_is_not_missed_by_who_was_busy() -> None:
    hooks = Hooks(faults.HOOKS)
    known = hooks.count
    waiting = asyncio.ensure_future(hooks.changed(known))
    await asyncio.sleep(0)
    assert not waiting.done()
    hooks.set(faults.ENDED)
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(hooks.changed(known), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hooks.changed(hooks.count), 0.01)


def test_another_authority_is_nobodys() -> None:
    certificate, key = faults.another_authority()
    issued = issue(certificate, key, "spiffe://cluster.local/ns/x/sa/y", lasts=faults.LASTS_NOT)
    leaf = x509.load_pem_x509_certificate(issued.chain.encode())
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc > -faults.LASTS_NOT
    assert "another.local" in leaf.issuer.rfc4514_string()
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(certificate))
