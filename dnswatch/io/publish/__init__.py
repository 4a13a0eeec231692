"""Where snapshots go: files, hooks, HTTP."""
