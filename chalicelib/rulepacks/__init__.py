"""Rule packs: the law of each jurisdiction as dated data, one folder a pack, with vectors beside it."""
