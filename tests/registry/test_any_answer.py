"""Whatever a registry answers: a result or an error for its user, never a crash, and an end."""

from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.errors import ScratchError
from scratchtasks.registry.blobs import send_blob
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import Manifest, delete_manifest, digest_at, put_manifest
from scratchtasks.registry.reference import parse_repository
from scratchtasks.registry.transport import Answer, Body, Limits
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

LIMITS = Limits(attempts=3, backoff=0, wait=0.001, chunk=1000)
API, OTHER = (parse_repository(f"127.0.0.1:1/team/{name}") for name in ("api", "other"))

HEADERS = st.dictionaries(
    st.sampled_from(
        ["location", "range", "www-authenticate", "retry-after", "docker-content-digest",
         "content-type", "oci-chunk-min-length"]
    ),
    st.text(max_size=20)
    | st.sampled_from(
        ["0-0", "0-999", "0-4999", "bytes=0-5", "0-99999999999999999999", "/v2/up/1", "//a/b",
         "http://127.0.0.1:1/up?x=1", "http://[::1", "http://127.0.0.1:99999/", "http://a@b/",
         "http://example.com/", 'Bearer realm="http://127.0.0.1:2/token"', 'Basic realm="x"',
         'Bearer realm="https://x\ny"', "0", "1e9", "-1", "Wed, 21 Oct 2015 07:28:00 GMT"]
    ),
    max_size=5,
)  # fmt: skip
BODIES = st.binary(max_size=30) | st.sampled_from(
    [b'{"errors":[{"code":"DIGEST_INVALID"}]}', b'{"errors":[{"code":{},"message":[]}]}',
     b'{"token":"abc","expires_in":1e400}', b'{"access_token":1}', b"[]"]
)  # fmt: skip
STATUSES = st.sampled_from([200, 201, 202, 204, 307, 400, 401, 403, 404, 405, 416, 429, 503, 999])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ContentStore:
    folder = tmp_path_factory.mktemp("store")
    return ContentStore(str(folder / "blobs"), FileStates(str(folder), str(folder / "files")))


@pytest.fixture(scope="module")
def blob(store: ContentStore) -> Descriptor:
    return store.put_bytes(b"x" * 5000, "")


@settings(max_examples=300)
@given(st.lists(st.tuples(STATUSES, HEADERS, BODIES), min_size=1, max_size=9), st.integers(0, 4))
def test_any_answer(
    store: ContentStore,
    blob: Descriptor,
    answers: list[tuple[int, dict[str, str], bytes]],
    what: int,
) -> None:
    asked = 0

    def exchange(
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        limit: int,
        receive: object = None,
    ) -> Answer:
        nonlocal asked
        status, said, data = answers[asked % len(answers)]
        asked += 1
        assert asked < 500
        assert sum(map(len, body.chunks())) == body.size
        return Answer(status, said, data, url)

    with Registry({}, limits=LIMITS) as client:
        client._transport.exchange = exchange  # type: ignore[method-assign]
        with suppress(ScratchError):
            match what:
                case 0:
                    send_blob(client, API, blob, store)
                case 1:
                    send_blob(client, API, blob, store, OTHER)
                case 2:
                    digest_at(client, API, "latest")
                case 3:
                    put_manifest(client, API, Manifest("a/b", b"{}"), "latest")
                case 4:
                    delete_manifest(client, API, "latest")
