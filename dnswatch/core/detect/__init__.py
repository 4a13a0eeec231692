"""From sightings to alerts: engine, signals, score, explanation."""
