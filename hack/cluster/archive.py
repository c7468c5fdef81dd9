"""Container images of one static program, made without a builder.

An image is a tar archive in the OCI layout: one layer with the program, its
configuration and an index, each named by its hash. The same program always gives
the same bytes.
"""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Final

_MEDIA: Final = "application/vnd.oci.image."
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PLATFORM: Final = {"architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux"}


def write(path: Path, program: Path, *, image: str, user: str = "65532:65532") -> None:
    """Write the archive of an image `image` that runs `program` and nothing else."""
    layer = _tar({program.name: (program.read_bytes(), 0o755)})
    config = {
        **_PLATFORM,
        "config": {"Entrypoint": [f"/{program.name}"], "User": user},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    config_blob = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MEDIA + "manifest.v1+json",
        "config": _descriptor(config_blob, "config.v1+json"),
        "layers": [_descriptor(layer, "layer.v1.tar")],
    }
    manifest_blob = json.dumps(manifest).encode()
    named = {
        **_descriptor(manifest_blob, "manifest.v1+json"),
        "platform": _PLATFORM,
        "annotations": {"io.containerd.image.name": image},
    }
    index = {"schemaVersion": 2, "mediaType": _MEDIA + "index.v1+json", "manifests": [named]}
    files = {_place(blob): (blob, 0o644) for blob in (layer, config_blob, manifest_blob)}
    files["oci-layout"] = (b'{"imageLayoutVersion": "1.0.0"}', 0o644)
    files["index.json"] = (json.dumps(index).encode(), 0o644)
    path.write_bytes(_tar(files))


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _place(blob: bytes) -> str:
    return "blobs/" + _digest(blob).replace(":", "/")


def _descriptor(blob: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": _MEDIA + kind, "digest": _digest(blob), "size": len(blob)}


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
