"""A log goes by one name, so that whoever searches for what is logged finds all of it."""

import ast

from tests.policy import checkout

LOG = "LOG"


def _is_logger(node: ast.expr | None) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="getLogger")) | ast.Call(func=ast.Name(id="getLogger")):
            return True
    return False


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Assign(targets=targets, value=value) if _is_logger(value):
            return [ast.unparse(target) for target in targets]
        case ast.AnnAssign(target=target, value=value) if _is_logger(value):
            return [ast.unparse(target)]
    return []


def test_the_log_of_every_module_is_called_log() -> None:
    named = {
        (checkout.name(path), name)
        for path in checkout.production_files()
        for node in checkout.tree(path).body
        for name in _names(node)
    }
    assert len(named) > 20
    assert sorted(where for where, name in named if name != LOG) == []
