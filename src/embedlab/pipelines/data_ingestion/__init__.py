"""Raw data to the tables and retrieval sets that all experiments start from."""
