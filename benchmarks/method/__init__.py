"""The claims of the method, measured on models made from real facts: `make bench-method`, kept in docs/method.md."""
