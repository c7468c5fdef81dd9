"""The process of one replica: events, queue, workers, resync, Lease, health."""
