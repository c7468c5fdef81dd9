"""`make demo`: a model goes stale, is refreshed and serves; a poisoned refresh is refused. On a real cluster."""
