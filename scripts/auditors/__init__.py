"""Programs that let other people's tools verify archives of ours; each runs where that tool is installed."""
