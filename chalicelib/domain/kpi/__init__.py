"""Key figures: what each one is, the counters it rests on, and how a figure is made from counters."""
