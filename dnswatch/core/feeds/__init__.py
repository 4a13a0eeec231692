"""From policy to zones: rules, snapshots, serials, formats."""
