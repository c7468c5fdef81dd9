"""Where a stage reads and writes: sources, folders of a run, sealed folders, files of a checkpoint."""
