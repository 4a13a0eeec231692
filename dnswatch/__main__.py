"""`python -m dnswatch`."""

from dnswatch.cli import main

if __name__ == "__main__":
    main()
