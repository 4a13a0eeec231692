"""From policy to zones: claims, rules, snapshots, serials, guard, formats. Read `zones.py` first."""
