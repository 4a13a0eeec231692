"""From bytes to events: prescan and parse (digest.py), time stamps, rotation decisions, one parser per format."""
