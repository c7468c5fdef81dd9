"""Argo CD's side of a custom resource: the Lua of `examples/argocd/argocd-cm.yaml`, run as Argo CD runs it.

A fresh Lua 5.1 for each script, with the object as the global `obj`; health scripts have no
`require`, actions have one that gives `os`. Knows nothing of what the answers should be.
"""

from typing import Any, Final

import yaml
from lupa.lua51 import LuaRuntime, lua_type

from examples.demo import manifests

_PREFIX: Final = "resource.customizations"
TOLD: Final[dict[str, str]] = yaml.safe_load((manifests.FOLDER / "argocd" / "argocd-cm.yaml").read_text())["data"]
"""The ConfigMap's data."""
_ACTIONS: Final[dict[str, Any]] = yaml.safe_load(TOLD[f"{_PREFIX}.actions.modelrefresh.dev_ModelRefresh"])


def health(document: dict[str, Any]) -> dict[str, Any]:
    """Health of an object, as `status` and `message`."""
    found: dict[str, Any] = _run(TOLD[f"{_PREFIX}.health.modelrefresh.dev_{document['kind']}"], document, bare=True)
    return found


def discover(document: dict[str, Any]) -> dict[str, Any]:
    """The actions that a ModelRefresh offers."""
    found: dict[str, Any] = _run(_ACTIONS["discovery.lua"], document, bare=True)
    return found


def act(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """The ModelRefresh after an action."""
    [script] = [item["action.lua"] for item in _ACTIONS["definitions"] if item["name"] == name]
    found: dict[str, Any] = _run(script, document, bare=False)
    return found


def defined() -> set[str]:
    """Names of the actions that can be run."""
    return {item["name"] for item in _ACTIONS["definitions"]}


def _run(script: str, document: dict[str, Any], *, bare: bool) -> Any:  # noqa: ANN401 -- whatever the script gives
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    variables = lua.globals()
    for name in ("io", "os", "debug", "package", *(("require",) if bare else ())):
        if bare or name != "os":
            variables[name] = None
    if not bare:
        system = lua.eval("os")
        variables["os"] = None
        variables["require"] = {"os": system}.__getitem__
    variables["obj"] = lua.table_from(document, recursive=True)
    return _plain(lua.execute(script))


def _plain(value: Any) -> Any:  # noqa: ANN401 -- any Lua value
    if lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys and keys == list(range(1, len(keys) + 1)):
        return [_plain(value[key]) for key in keys]
    return {key: _plain(value[key]) for key in keys}
