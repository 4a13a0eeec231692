"""The watch catalogue: which services are known, and which of their names a looked-up name meets.

Never: reads files (``config/catalogue.py`` does), decides whether a lookup is expected. Read next: ``catalog.py``,
then ``schema.py`` for what an entry under ``feeds/`` must say.
"""

from dnswatch.core.catalog.catalog import Catalog, NeverBlock
from dnswatch.core.catalog.categories import CATEGORIES
from dnswatch.core.catalog.index import Index

__all__ = ["CATEGORIES", "Catalog", "Index", "NeverBlock"]
