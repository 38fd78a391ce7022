"""Bodies in protobuf, as kubectl's typed commands post them."""

import pytest

from fixtures.providers.embedded.apiserver.errors import StatusError
from fixtures.providers.embedded.apiserver.protobuf import MAGIC, decoded


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def sent(kind: str, *fields: bytes, version: bytes = b"v1") -> bytes:
    """An object as a typed client sends it: a TypeMeta and the message within."""
    type_meta = field(1, version) + field(2, kind.encode())
    return MAGIC + field(1, type_meta) + field(2, b"".join(fields)) + field(3, b"") + field(4, b"")


def test_a_namespace_with_its_empty_fields_left_out() -> None:
    labels = field(11, field(1, b"a") + field(2, b"b")) + field(11, field(1, b"c") + field(2, b""))
    empty_time = field(8, b"")
    metadata = field(1, b"trial") + field(2, b"") + empty_time + labels
    body = sent("Namespace", field(1, metadata), field(2, b""), field(3, field(1, b"")))
    assert decoded(body) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "trial", "labels": {"a": "b", "c": ""}},
    }


def test_a_secrets_bytes_are_reported_in_base64() -> None:
    data = field(2, field(1, b"key") + field(2, b"\xff\x00"))
    body = decoded(sent("Secret", field(1, field(1, b"s")), data, field(3, b"Opaque")))
    assert (body["data"], body["type"]) == ({"key": "/wA="}, "Opaque")


def test_a_question_about_rights() -> None:
    attributes = field(2, b"create") + field(5, b"pods")
    body = decoded(
        sent(
            "SelfSubjectAccessReview",
            field(1, b""),
            field(2, field(1, attributes)),
            version=b"authorization.k8s.io/v1",
        )
    )
    assert body["spec"] == {"resourceAttributes": {"verb": "create", "resource": "pods"}}


def test_a_zero_that_is_meant_is_kept_and_a_status_dropped() -> None:
    spec = field(1, 0) + field(5, 0) + field(7, 0)
    body = decoded(sent("Deployment", field(1, b""), field(2, spec), field(3, field(1, 0))))
    assert body == {"apiVersion": "v1", "kind": "Deployment", "spec": {"replicas": 0}}


def test_fields_of_a_part_without_a_name_are_its_owners() -> None:
    volume = field(1, b"v") + field(2, field(2, b""))
    template = field(1, b"") + field(2, field(1, volume))
    body = decoded(sent("Deployment", field(2, field(3, template))))
    assert body["spec"]["template"]["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        pytest.param(b'{"kind": "Namespace"}', 400, "no object in protobuf", id="JSON"),
        pytest.param(MAGIC + b"\x0a\xff", 400, "no object in protobuf", id="cut off"),
        pytest.param(sent("Lease"), 415, "does not read Lease in protobuf", id="kind"),
        pytest.param(
            sent("Namespace", field(15, b"x")), 415, "field 15 of Namespace", id="unknown field"
        ),
    ],
)
def test_what_is_not_read_is_refused_in_one_line(body: bytes, code: int, words: str) -> None:
    with pytest.raises(StatusError, match=words) as refused:
        decoded(body)
    assert refused.value.code == code
    assert "\n" not in str(refused.value)
