"""Who asks: groups by longest prefix, names and MACs by lease, and what each client is expected to use."""
