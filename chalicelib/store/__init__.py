"""DynamoDB: tables, keys, sealing, repositories, and the unit of work."""
