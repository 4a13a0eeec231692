"""The aiohttp application: health, metrics, feeds."""
