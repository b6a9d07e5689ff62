"""The only code that imports chalice: HTTP views, queue consumers, stream and schedule handlers, authorizer."""
