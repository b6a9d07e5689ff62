"""The transparency log of a lender's events: RFC 6962 tree, C2SP tiles, signed notes, and the record that is an entry.

Everything here is a pure function of its arguments. ``docs/archive.md`` describes the files that come of it.
"""
