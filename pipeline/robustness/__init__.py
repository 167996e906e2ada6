"""How a detector's figures hold under damage, and against controls that must not do as well."""
