"""One module per group of verbs; each takes ports and the instant, and knows neither AWS nor HTTP."""
