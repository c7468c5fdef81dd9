"""The environment of the tools that the merge is compared with: mergekit and `residuals`.

They agree with this project's lock on everything heavy, so they lie in a small environment
on top of it, made from hashes and kept under the cache: the same torch serves everyone.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv

from hack.cluster import settings

LOCK = pathlib.Path(__file__).with_name("rivals.txt")

MERGEKIT = "merge_method: task_arithmetic\nbase_model: {base}\nmodels:\n{models}dtype: bfloat16\n"
_MODEL = "- model: {folder}\n  parameters: {{weight: 1.0}}\n"

EXTRACT = """
import sys, torch, residuals
base, instruct, out = sys.argv[1:]
residuals.Residuals.from_models(base, instruct, dtype=torch.bfloat16).save_pretrained(out)
"""
APPLY = """
import sys, torch, residuals
trained, stored, out = sys.argv[1:]
residuals.Residuals.apply_to_pretrained(trained, stored, out_dir=out, dtype=torch.bfloat16)
"""


def ensure() -> pathlib.Path:
    """The folder with the environment's programs."""
    below = pathlib.Path(sysconfig.get_path("purelib"))
    content = LOCK.read_bytes() + str(below).encode()
    folder = settings.CACHE / f"venv-rivals-{hashlib.sha256(content).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, symlinks=True)
        [own] = folder.glob("lib/python*/site-packages")
        (own / "below.pth").write_text(f"{below}\n")
        install = ("-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(LOCK))
        subprocess.run((sys.executable, *install, "--python", str(folder / "bin" / "python")), check=True)
        (folder / "complete").touch()
    return folder / "bin"


def recipe(base: pathlib.Path, *models: pathlib.Path) -> str:
    """What mergekit is told: the base and the full distance of each model from it."""
    return MERGEKIT.format(base=base, models="".join(_MODEL.format(folder=folder) for folder in models))
