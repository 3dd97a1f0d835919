"""The two fixed files of an OCI image layout folder.

Source: OCI image-spec v1.1, image-layout.md and annotations.md.
"""

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import canonical_json

from . import media

LAYOUT_FILE = canonical_json({"imageLayoutVersion": "1.0.0"})
"""The bytes of `oci-layout`."""


def index_json(name: str, top: Descriptor) -> bytes:
    """The bytes of `index.json` for a layout that holds the one image *top*.

    The reference name is the bare tag, so that both `oci:FOLDER` and `oci:FOLDER:latest` find
    it; containerd and Docker read the full name from an annotation of their own.
    """
    annotations = {
        "io.containerd.image.name": f"docker.io/library/{name}:latest",
        "org.opencontainers.image.ref.name": "latest",
    }
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": media.INDEX,
            "manifests": [{**top.to_json(), "annotations": annotations}],
        }
    )
