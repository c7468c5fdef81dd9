"""The operator's machinery: queue, Lease, workers, resync, watcher, pages and settings."""
