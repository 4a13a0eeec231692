"""What a competent administrator writes in an afternoon: every line through one expression, every name through a dict.

    python benchmarks/perline.py bind names.txt query.log     # names.txt: "name match" a line

Prints ``stamp client name`` of each lookup of a watched name. Never: imports the product.
"""

import re
import sys

LINE = {
    "bind": re.compile(r"^(\S+ \S+) .*?client @\S+ ([^#]+)#\d+ \(\S+\): query: (\S+) IN"),
    "dnsmasq": re.compile(r"^(\w+ +\d+ \S+) dnsmasq\[\d+\]: \d+ ([^/]+)/\d+ query\[\w+\] (\S+) from"),
}


def main() -> None:
    """Read the log once."""
    form, names, log = sys.argv[1:]
    exact, below = set(), set()
    with open(names, encoding="ascii") as file:  # noqa: PTH123  # it is what people write
        for line in file:
            name, match = line.split()
            if match != "subdomains":
                exact.add(name)
            if match != "exact":
                below.add(name)
    match_line = LINE[form].match
    with open(log, encoding="ascii", errors="replace") as file:  # noqa: PTH123
        for line in file:
            found = match_line(line)
            if not found:
                continue
            name = found[3].lower()
            if name in exact:
                print(found[1], found[2], name)
                continue
            rest = name
            while "." in rest:
                rest = rest.split(".", 1)[1]
                if rest in below:
                    print(found[1], found[2], name)
                    break


if __name__ == "__main__":
    main()
